"""``TokenAuthentication`` of django-rest-knox: hashed tokens that end."""

from __future__ import annotations

from typing import Any

from ..contender import Case, Credentials, Package


class Knox(Package):
    """One token, of one person."""

    name = "knox"
    distribution = "django-rest-knox"
    apps = ("knox",)
    cases = (Case(name="knox", label="django-rest-knox", sends="hot"),)

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from knox.auth import TokenAuthentication
        from rest_framework.permissions import IsAuthenticated

        return {"authentication_classes": [TokenAuthentication], "permission_classes": [IsAuthenticated]}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from knox.models import get_token_model

        # Its manager makes tokens one by one; its look-up by an index does not mind how many there are.
        people = User.objects.bulk_create(User(username=f"person{number}") for number in range(min(rows, 100)))
        texts = [get_token_model().objects.create(user=person)[1] for person in people]
        return {"hot": [f"Token {texts[len(texts) // 2]}"]}
