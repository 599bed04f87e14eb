"""What a project asserts of its endpoints."""

from __future__ import annotations

from typing import Any

from ..registry import scope_registry
from .client import ApiKeyClient
from .making import make_key


def assert_requires_scope(url: str, method: str, *scopes: str, **request: Any) -> None:
    """
    Assert that *method* on *url* refuses a key without *scopes* for lack of them, and no key at all.

    The key has all other declared scopes. *request* goes to the test client's call.

    Raises:
        AssertionError: If the answer is not 401 without a key, or not 403 ``insufficient_scope`` naming *scopes*.
    """
    send = method.lower()
    anonymous = getattr(ApiKeyClient(), send)(url, **request)
    assert anonymous.status_code == 401, f"{method} {url} without a key: {anonymous.status_code}, not 401"
    others = [name for name in scope_registry() if name not in scopes]
    assert others, "the project declares no other scope that a key could hold"
    answer = getattr(ApiKeyClient(make_key(scopes=others)), send)(url, **request)
    assert answer.status_code == 403, f"{method} {url} without {scopes}: {answer.status_code}, not 403"
    body = answer.json()
    assert body.get("code") == "insufficient_scope", f"{method} {url}: {body}"
    assert set(scopes) <= set(body["required_scopes"]), f"{method} {url} requires {body['required_scopes']}"
