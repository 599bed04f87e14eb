"""Why a presented credential is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from .root import APIKeysError

if TYPE_CHECKING:
    from ..keyformat import KeyText
    from ..standings import Standing


class CredentialError(APIKeysError):
    """
    Base of all refusals of a presented credential. Do not raise directly.

    ``key_id``, ``family`` and ``client_id`` are set only where the credential was issued here, so that the refusal can
    be recorded against it. They never reach the caller.
    """

    code = "key_invalid"
    #: What was refused: ``"key"``, ``"token"``, or ``"both"`` together.
    about = "key"

    def __init__(
        self,
        *,
        key_id: str = "",
        family: str = "",
        client_id: str = "",
        at: datetime | None = None,
        about: str | None = None,
    ) -> None:
        super().__init__(self.code)
        self.key_id = key_id
        self.family = family
        self.client_id = client_id
        self.about = about or self.about
        #: The instant the refusal names: when the key expired, was revoked or was rotated out.
        self.at = at


class AmbiguousCredentialError(CredentialError):
    """More than one credential, or one repeated (RFC 6750 section 2)."""

    code = "invalid_request"


class KeyInQueryError(CredentialError):
    """A key in the address, where logs and referrers keep it."""

    code = "key_in_query"

    def __init__(self, *, key_text: KeyText | None = None) -> None:
        super().__init__()
        #: The parsed key, where it is whole.
        self.key_text = key_text


class HTTPSRequiredError(CredentialError):
    """A key or token that crossed the network in the clear."""

    code = "https_required"

    def __init__(self, *, key_text: KeyText | None = None, about: str | None = None) -> None:
        super().__init__(about=about)
        self.key_text = key_text


class MalformedKeyError(CredentialError):
    """A text of the wrong length or alphabet."""

    code = "key_malformed"


class WrongModeError(CredentialError):
    """A whole test key on a live deployment, or the reverse. Whether it exists was not asked."""

    code = "wrong_mode"

    def __init__(self, *, presented: str, expected: str) -> None:
        super().__init__()
        self.presented = presented
        self.expected = expected


class UnknownKeyError(CredentialError):
    """A wrong tag, an unknown id or a wrong secret: one answer."""

    code = "key_invalid"


class ExpiredKeyError(CredentialError):
    """A genuine key past its end."""

    code = "key_expired"


class RevokedKeyError(CredentialError):
    """A genuine key that somebody revoked."""

    code = "key_revoked"


class RotatedKeyError(CredentialError):
    """A genuine key whose overlap with its replacement is over."""

    code = "key_rotated"


class OwnerDisabledError(CredentialError):
    """A genuine key or token whose person is disabled or gone."""

    code = "owner_disabled"


class ClientDisabledError(CredentialError):
    """A genuine key or token whose client is switched off."""

    code = "client_disabled"


class AddressRefusedError(CredentialError):
    """A genuine key or token from an address that it, or its client, does not allow."""

    code = "ip_not_allowed"


class TooManyHashesError(CredentialError):
    """A slow hash that may not run now: the key's budget is spent, no turn came in time, or memory is short."""

    code = "rate_limited"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class LimitExceededError(CredentialError):
    """A genuine credential that has spent what one of its limits allows."""

    code = "rate_limited"

    def __init__(
        self,
        *,
        retry_after_seconds: int | None,
        standings: Sequence[Standing],
        violated: Sequence[str],
        key_id: str = "",
        family: str = "",
        client_id: str = "",
    ) -> None:
        super().__init__(key_id=key_id, family=family, client_id=client_id)
        #: After so long the same request passes, if nobody else spends. None where it costs more than a limit ever has.
        self.retry_after_seconds = retry_after_seconds
        #: Every limit that applies, also those that had enough left.
        self.standings = tuple(standings)
        #: The names of the limits that refused, as in header fields.
        self.violated = tuple(violated)


class LimitsUnavailableError(CredentialError):
    """Nobody can tell what is left of a limit that must hold."""

    code = "limits_unavailable"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class InvalidTokenError(CredentialError):
    """A token that is malformed, unknown, withdrawn or for another resource: one answer."""

    code = "token_invalid"
    about = "token"


class ExpiredTokenError(CredentialError):
    """A genuine token past its end."""

    code = "token_expired"
    about = "token"


class TokenInQueryError(CredentialError):
    """A token in the address, where logs and referrers keep it."""

    code = "token_in_query"
    about = "token"


class TokenMissingError(CredentialError):
    """A key without the token that must stand beside it."""

    code = "token_missing"
    about = "both"


class KeyMissingBesideTokenError(CredentialError):
    """A token without the key that must stand beside it."""

    code = "key_missing_beside_token"
    about = "both"


class CredentialsDifferError(CredentialError):
    """A genuine key and a genuine token of different clients, or for different people."""

    code = "credentials_differ"
    about = "both"


class NotForServerError(CredentialError):
    """A genuine key or token of a client that does not name the API server that asks about it."""

    code = "not_for_server"


class NetworksNotEnforcedError(CredentialError):
    """A genuine key or token that is bound to networks, and an API server that does not look at addresses."""

    code = "networks_not_enforced"


class AuthorityUnavailableError(CredentialError):
    """Nobody can tell whether the credential is good: the authority does not answer, or did so too long ago."""

    code = "authority_unavailable"

    def __init__(self, *, retry_after_seconds: int, about: str | None = None) -> None:
        super().__init__(about=about)
        self.retry_after_seconds = retry_after_seconds
