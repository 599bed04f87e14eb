"""API servers that know who is calling without a table of keys: by signatures, or by asking an authority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ..contender import Case, Credentials, Package
from ..told import told
from .authority import AUDIENCE
from .simplejwt_stateless import SimpleJWTStateless

_TOLD = told()


def _case(name: str, label: str, sends: str, **changed: Any) -> Case:
    settings = {
        "SCOPES": {"todo:read": "View to-dos"},
        "ISSUER": _TOLD["issuer"],
        "AUTHORITY_KEY": _TOLD["authority_key"],
        "AUDIENCE": AUDIENCE,
        # The machine may be slow. What is measured is not whether it is.
        "AUTHORITY_READ_TIMEOUT": timedelta(seconds=10),
        **changed,
    }
    return Case(name=name, label=label, sends=sends, settings={"APIKEYS": settings}, is_in_table=False)


class APIServer(Package):
    """The one of this app, without ``apikeys`` in ``INSTALLED_APPS``."""

    name = "apiserver"
    cases = (
        _case("apikeys-signed", "apikeys, a signed token", "signed", REMEMBERED_TOKENS=0),
        _case("apikeys-signed-remembered", "apikeys, a signed token, remembered", "signed"),
        _case("apikeys-introspection", "apikeys, asking each time", "key"),
        _case(
            "apikeys-introspection-cached",
            "apikeys, asking once a minute",
            "key",
            INTROSPECTION_CACHE=timedelta(minutes=1),
        ),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from apikeys.drf import HasScopes
        from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication

        is_signed = case.name.startswith("apikeys-signed")
        return {
            "authentication_classes": [SignedTokenAuthentication if is_signed else IntrospectionAuthentication],
            "permission_classes": [HasScopes("todo:read")],
        }

    def fill(self, *, rows: int, sent: int) -> Credentials:
        found: Credentials = _TOLD["credentials"]
        return found


class ToolkitAPIServer(Package):
    """The toolkit's, which keeps what the authority said in a table of its own, and asks anew when that has ended."""

    name = "toolkitapiserver"
    distribution = "django-oauth-toolkit"
    apps = ("oauth2_provider",)
    settings = {
        "OAUTH2_PROVIDER": {
            "SCOPES": {"todo:read": "View to-dos"},
            "RESOURCE_SERVER_INTROSPECTION_URL": _TOLD["issuer"].replace("/authority", "/o/introspect/"),
            "RESOURCE_SERVER_AUTH_TOKEN": _TOLD["toolkit_token"],
        }
    }
    cases = (
        Case(name="oauth-toolkit-asking", label="the toolkit, asking each time", sends="oauth", is_in_table=False),
        Case(name="oauth-toolkit-cached", label="the toolkit, asking once", sends="hot oauth", is_in_table=False),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope

        return {
            "authentication_classes": [OAuth2Authentication],
            "permission_classes": [TokenHasScope],
            "required_scopes": ["todo:read"],
        }

    def fill(self, *, rows: int, sent: int) -> Credentials:
        oauth = _TOLD["credentials"].get("oauth", [])
        return {"oauth": oauth, "hot oauth": oauth[:1]}

    def before_round(self, case: Case, credentials: Sequence[str]) -> None:
        if case.name == "oauth-toolkit-asking":
            from oauth2_provider.models import get_access_token_model

            get_access_token_model().objects.all().delete()


class SimpleJWTES256(SimpleJWTStateless):
    """simplejwt with the algorithm that signed tokens have here by default."""

    name = "simplejwtes256"
    settings = {
        "SIMPLE_JWT": {
            "ACCESS_TOKEN_LIFETIME": timedelta(days=30),
            "ALGORITHM": "ES256",
            "SIGNING_KEY": _TOLD["pem"].get("private", ""),
            "VERIFYING_KEY": _TOLD["pem"].get("public", ""),
            "ISSUER": _TOLD["issuer"],
            "AUDIENCE": AUDIENCE,
        }
    }
    cases = (Case(name="simplejwt-es256", label="simplejwt, stateless, ES256", sends="hot", is_in_table=False),)
