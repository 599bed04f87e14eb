"""The same access tokens, with this app's authentication."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apikeys.oauth.defaults import OAUTH2_PROVIDER

from ..contender import Case, Credentials, Package


class APIKeysTokens(Package):
    """Access tokens of one person and app, with the scope that the view asks for."""

    name = "apikeystokens"
    distribution = "django-oauth-toolkit"
    apps = ("apikeys", "oauth2_provider", "apikeys.oauth")
    settings = {
        "OAUTH2_PROVIDER": OAUTH2_PROVIDER,
        "APIKEYS": {"SCOPES": {"todo:read": "View to-dos"}},
    }
    cases = (
        Case(name="apikeys-token", label="apikeys, a token", sends="hot", is_in_table=False),
        Case(name="apikeys-token-distinct", label="apikeys, many tokens", sends="distinct", is_in_table=False),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from apikeys.drf import HasScopes
        from apikeys.oauth import OAuthTokenAuthentication

        return {
            "authentication_classes": [OAuthTokenAuthentication],
            "permission_classes": [HasScopes("todo:read")],
        }

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from django.utils import timezone
        from django.utils.crypto import get_random_string
        from oauth2_provider.models import get_access_token_model, set_token_value

        from apikeys import clients
        from apikeys.oauth import applications, consents

        person = User.objects.create(username="person")
        client = clients.create(name="app", allowed_scopes=["todo:read"])
        made = applications.create(client, sign_in="authorization-code", redirect_uris=["https://app.example/callback"])
        consents.give(person, client, scopes=["todo:read"])
        tokens, end = get_access_token_model(), timezone.now() + timedelta(days=90)
        texts = [get_random_string(30) for _ in range(rows)]
        held = []
        for text in texts:
            token = tokens(user=person, application=made.link.application, expires=end, scope="todo:read")
            set_token_value(token, text)
            held.append(token)
        tokens.objects.bulk_create(held)
        headers = [f"Bearer {text}" for text in texts]
        return {"hot": [headers[rows // 2]], "distinct": headers[:sent]}
