"""Both central authorities on one site: this app's, and the toolkit's introspection."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from ..contender import Case, Credentials, Package
from ..told import told

AUDIENCE = "https://api.example"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TOLD = told()


class Authority(Package):
    """Asked for each of its answers, as an API server or a client does."""

    name = "authority"
    distribution = "django-oauth-toolkit"
    apps = ("apikeys", "apikeys.authority", "oauth2_provider")
    settings = {
        "ROOT_URLCONF": "benchmarks.authority_urls",
        "OAUTH2_PROVIDER": {"SCOPES": {"todo:read": "View to-dos", "introspection": "Introspect"}},
        "APIKEYS": {
            "SCOPES": {"todo:read": "View to-dos"},
            "ISSUER": _TOLD["issuer"],
            "SIGNING_KEYS": [_TOLD["pem"]["private"]] if _TOLD["pem"] else [],
            "SIGNED_TOKEN_LIFETIME": timedelta(hours=1),
        },
    }
    cases = (
        Case(
            name="authority-introspects-key",
            label="introspection of a key",
            sends="introspect key",
            posts_to="/authority/introspect",
            is_in_table=False,
        ),
        Case(
            name="authority-introspects-token",
            label="introspection of a signed token",
            sends="introspect token",
            posts_to="/authority/introspect",
            is_in_table=False,
        ),
        Case(
            name="oauth-toolkit-introspects",
            label="the toolkit's introspection",
            sends="toolkit",
            posts_to="/o/introspect/",
            is_in_table=False,
        ),
        Case(
            name="authority-exchanges",
            label="exchange of a key for a signed token",
            sends="exchange",
            posts_to="/authority/token",
            is_in_table=False,
        ),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        return {}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from django.contrib.auth.models import User
        from django.utils import timezone
        from django.utils.crypto import get_random_string
        from oauth2_provider.models import get_access_token_model, get_application_model

        from apikeys import clients, keys
        from apikeys.authority.signing import signing_key
        from apikeys.signed import tokens

        person = User.objects.create(username="person")
        server = clients.create(name="API server", allowed_scopes=["apikeys:introspect"], resource=AUDIENCE)
        asking = str(keys.issue(server, name="asks", scopes=["apikeys:introspect"], by=_superuser()).plaintext)
        client = clients.create(name="app", allowed_scopes=["todo:read"], audiences=[AUDIENCE])
        held = keys.issue(client, name="held", scopes=["todo:read"], owner=person)
        key = str(held.plaintext)
        now = timezone.now()
        issued_at = int(now.timestamp())
        token = tokens.SignedToken(
            issuer=_TOLD["issuer"],
            audience=AUDIENCE,
            subject=f"user:{person.pk}",
            client_id=str(client.client_id),
            issued_at=issued_at,
            expires_at=issued_at + 86_400,
            jti=get_random_string(22),
            scopes=("todo:read",),
            key_id=held.key.key_id,
            family=held.key.family,
            networks=(),
            claims={},
        )
        signed = tokens.sign(token, key=signing_key(now=now))

        application = get_application_model().objects.create(
            name="app", client_type="confidential", authorization_grant_type="client-credentials"
        )
        made, end = get_access_token_model(), now + timedelta(days=90)
        texts = [get_random_string(30) for _ in range(rows)]
        made.objects.bulk_create(
            made(user=person, application=application, token=text, expires=end, scope="todo:read") for text in texts
        )
        introspecting = get_random_string(30)
        made.objects.create(application=application, token=introspecting, expires=end, scope="introspection")

        exchange = {
            "grant_type": _EXCHANGE,
            "subject_token": key,
            "subject_token_type": "urn:apikeys:token-type:api-key",
            "scope": "todo:read",
            "audience": AUDIENCE,
        }
        return {
            "introspect key": [_posted({"token": key, "networks_enforced": "true"}, by=asking)],
            "introspect token": [_posted({"token": signed, "networks_enforced": "true"}, by=asking)],
            "toolkit": [_posted({"token": texts[rows // 2]}, by=introspecting)],
            "exchange": [_posted(exchange)],
            "server key": [asking],
            "server token": [introspecting],
            "key": [f"Bearer {key}"],
            "signed": [f"Bearer {signed}"],
            "oauth": [f"Bearer {text}" for text in texts[:sent]],
        }


def _superuser() -> Any:
    from django.contrib.auth.models import User

    # Only they grant scopes of the authority's own.
    return User.objects.create_superuser(username="admin")


def _posted(form: dict[str, str], *, by: str = "") -> str:
    return f"{f'Bearer {by}' if by else ''}\n{urlencode(form)}"
