"""How a request carries a credential. A scheme reads and decides nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from urllib.parse import unquote

from . import keyformat
from .credentials import Credential, RequestParts
from .errors import AmbiguousCredentialError, KeyInQueryError, MalformedKeyError

#: Where a key may stand: the value of the setting ``CREDENTIAL_SOURCES``.
SOURCES = ("bearer", "api-key", "x-api-key")


class Scheme(ABC):
    """Reads one kind of credential off a request."""

    def __init__(self, *, prefix: str, sources: Collection[str]) -> None:
        self.prefix = prefix
        self.sources = sources
        #: What a text starts with that claims to be one of our keys.
        self.claim = f"{prefix}_"

    @abstractmethod
    def read(self, parts: RequestParts) -> Credential | None:
        """
        Return the credential of *parts*, or None where there is none of this kind.

        Raises:
            CredentialError: If the credential is of this kind and can't be read.
        """

    def may_read(self, query_string: str) -> bool:
        """Whether ``read`` could find anything in *query_string*, which is not empty. If so, it is asked each time."""
        return True


class KeyScheme(Scheme):
    """Read an API key from ``Authorization: Bearer``, ``Authorization: Api-Key`` or ``X-API-Key``."""

    def read(self, parts: RequestParts) -> Credential | None:
        if parts.query_string:
            self._refuse_key_in_query(parts.query_string)
        presented = []
        authorization = parts.headers.get("authorization", "").strip(" \t")
        name, _, value = authorization.partition(" ")
        name, value = name.lower(), value.strip(" \t")
        if name in self.sources and (name == "api-key" or (name == "bearer" and value.startswith(self.claim))):
            presented.append(value)
        elif "," in authorization and f" {self.claim}" in authorization:
            # A repeated header whose first value belongs to somebody else.
            presented.append(authorization)
        if "x-api-key" in parts.headers and "x-api-key" in self.sources:
            presented.append(parts.headers["x-api-key"].strip(" \t"))
        if not presented:
            return None
        # Two headers of one name arrive joined by a comma, which no key contains.
        if len(presented) > 1 or "," in presented[0]:
            raise AmbiguousCredentialError
        key_text = keyformat.parse(presented[0], prefix=self.prefix)
        return Credential(key_id=key_text.key_id, proof=key_text, key_text=key_text)

    def may_read(self, query_string: str) -> bool:
        # A key in it is refused, and has an underscore, encoded or not.
        return "_" in query_string or "%" in query_string

    def _refuse_key_in_query(self, query_string: str) -> None:
        # Substring tests keep this off the path of every honest request. Both readings count: an encoded key may
        # stand beside an innocent "peak_hours".
        readings = [query_string, unquote(query_string)] if "%" in query_string else [query_string]
        suspects = [text for text in readings if self.claim in text]
        if not suspects:
            return
        pattern = keyformat.key_pattern(self.prefix)
        found = next(filter(None, map(pattern.search, suspects)), None)
        if found is None:
            return
        try:
            raise KeyInQueryError(key_text=keyformat.parse(found[0], prefix=self.prefix))
        except MalformedKeyError:
            raise KeyInQueryError from None
