"""What the tests of tokens share: views that take them, and requests that carry them."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes
from apikeys.oauth import OAuthTokenAuthentication
from apikeys.testing import make_key

from .drf_views import ask, view

KEY_FIRST = [APIKeyAuthentication, OAuthTokenAuthentication]
TOKEN_FIRST = [OAuthTokenAuthentication, APIKeyAuthentication]


def token_view(**attributes: Any) -> Any:
    """Return a view that takes tokens and needs ``todo:read``, with *attributes*."""
    attributes.setdefault("permission_classes", [HasScopes("todo:read")])
    return view(
        authentication_classes=attributes.pop("authentication_classes", [OAuthTokenAuthentication]), **attributes
    )


def quiet_view(**attributes: Any) -> Any:
    """Return a view like ``token_view``'s that touches nothing of its caller."""
    return token_view(get=lambda self, request: Response(), **attributes)


Todos = token_view()


def make_known_key(**fields: Any) -> Any:
    """Return a key that this process has proven, so that no middleware looks at it before the view does."""
    issued = make_key(**fields)
    assert (
        ask(quiet_view(authentication_classes=KEY_FIRST, permission_classes=[HasAPIKey]), key=issued).status_code == 200
    )
    return issued


def bearer(token: Any) -> dict[str, str]:
    """Return the header that carries *token*, a text or what ``make_token`` returned."""
    return {"HTTP_AUTHORIZATION": f"Bearer {getattr(token, 'plaintext', token)}"}


def send(token: Any, *, to: Any = Todos, **extra: Any) -> Any:
    """Return the answer of the view *to* a request with *token*."""
    return ask(to, **bearer(token), **extra)
