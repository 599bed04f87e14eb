"""A test client that sends a key."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from ..keys import IssuedKey


class ApiKeyClient(APIClient):
    """REST framework's test client, sending *key* as ``Authorization: Bearer`` over HTTPS."""

    def __init__(self, key: IssuedKey | str | None = None, **defaults: Any) -> None:
        plaintext = key.plaintext if isinstance(key, IssuedKey) else key
        if plaintext is not None:
            defaults["HTTP_AUTHORIZATION"] = f"Bearer {plaintext}"
        super().__init__(**defaults)

    def request(self, **kwargs: Any) -> Any:
        # Keys are refused over plain HTTP, and a test has no TLS.
        return super().request(**{**kwargs, "wsgi.url_scheme": "https", "SERVER_PORT": "443"})
