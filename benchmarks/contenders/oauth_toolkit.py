"""Access tokens of django-oauth-toolkit, with a scope."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..contender import Case, Credentials, Package


class OAuthToolkit(Package):
    """One access token, of one person, with the scope that the view asks for."""

    name = "oauthtoolkit"
    distribution = "django-oauth-toolkit"
    apps = ("oauth2_provider",)
    settings = {"OAUTH2_PROVIDER": {"SCOPES": {"todo:read": "View to-dos"}}}
    cases = (Case(name="oauth-toolkit", label="django-oauth-toolkit", sends="hot"),)

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope

        return {
            "authentication_classes": [OAuth2Authentication],
            "permission_classes": [TokenHasScope],
            "required_scopes": ["todo:read"],
        }

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from django.utils import timezone
        from django.utils.crypto import get_random_string
        from oauth2_provider.models import get_access_token_model, get_application_model

        person = User.objects.create(username="person")
        application = get_application_model().objects.create(
            name="app", client_type="confidential", authorization_grant_type="client-credentials"
        )
        tokens, end = get_access_token_model(), timezone.now() + timedelta(days=90)
        texts = [get_random_string(30) for _ in range(rows)]
        tokens.objects.bulk_create(
            tokens(user=person, application=application, token=text, expires=end, scope="todo:read") for text in texts
        )
        return {"hot": [f"Bearer {texts[len(texts) // 2]}"]}
