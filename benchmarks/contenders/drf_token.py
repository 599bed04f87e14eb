"""REST framework's own ``TokenAuthentication``. It stores tokens as they are."""

from __future__ import annotations

from typing import Any

from ..contender import Case, Credentials, Package


class DRFToken(Package):
    """One token, of one person."""

    name = "drftoken"
    apps = ("rest_framework.authtoken",)
    cases = (Case(name="drf-token", label="REST framework TokenAuthentication", sends="hot"),)

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from rest_framework.authentication import TokenAuthentication
        from rest_framework.permissions import IsAuthenticated

        return {"authentication_classes": [TokenAuthentication], "permission_classes": [IsAuthenticated]}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from rest_framework.authtoken.models import Token

        people = User.objects.bulk_create(User(username=f"person{number}") for number in range(rows))
        tokens = Token.objects.bulk_create(Token(user=person, key=Token.generate_key()) for person in people)
        return {"hot": [f"Token {tokens[len(tokens) // 2].key}"]}
