"""``JWTStatelessUserAuthentication`` of simplejwt: no look-up, and no way to revoke before the token ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..contender import Case, Credentials, Package


class SimpleJWTStateless(Package):
    """One token that is signed and never looked up."""

    name = "simplejwt"
    distribution = "djangorestframework-simplejwt"
    apps = ("rest_framework_simplejwt",)
    settings = {"SIMPLE_JWT": {"ACCESS_TOKEN_LIFETIME": timedelta(days=30)}}
    cases = (Case(name="simplejwt", label="simplejwt, stateless", sends="hot"),)

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from rest_framework.permissions import IsAuthenticated
        from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

        return {"authentication_classes": [JWTStatelessUserAuthentication], "permission_classes": [IsAuthenticated]}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from rest_framework_simplejwt.tokens import AccessToken

        return {"hot": [f"Bearer {AccessToken.for_user(User.objects.create(username='person'))}"]}
