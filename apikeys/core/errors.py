"""Every error of ``apikeys``. The class names the fact, ``code`` is for machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keyformat import KeyText


class APIKeysError(Exception):
    """Base of all errors of this package. Do not raise directly."""

    code = "apikeys_error"


class CredentialError(APIKeysError):
    """
    Base of all refusals of a presented credential. Do not raise directly.

    ``key_id`` and ``family`` are set only where the credential was issued here (its tag holds), so that the
    refusal can be recorded against a key. They never reach the caller.
    """

    code = "key_invalid"

    def __init__(self, *, key_id: str = "", family: str = "", at: datetime | None = None) -> None:
        super().__init__(self.code)
        self.key_id = key_id
        self.family = family
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
    """A key that crossed the network in the clear."""

    code = "https_required"

    def __init__(self, *, key_text: KeyText | None = None) -> None:
        super().__init__()
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
    """A genuine key whose person is disabled or gone."""

    code = "owner_disabled"


class ClientDisabledError(CredentialError):
    """A genuine key whose client is switched off."""

    code = "client_disabled"


class AddressRefusedError(CredentialError):
    """A genuine key from an address that it, or its client, does not allow."""

    code = "ip_not_allowed"


class TooManyHashesError(CredentialError):
    """A slow hash that may not run now: the key's budget is spent, no turn came in time, or memory is short."""

    code = "rate_limited"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class ScopeError(APIKeysError):
    """Base of all faults in scopes. Do not raise directly."""

    code = "scope_error"

    def __init__(self, message: str, *, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class ScopeSyntaxError(ScopeError):
    """A name outside the scope-token alphabet (RFC 6749 section 3.3), or a declaration of the wrong shape."""

    code = "scope_syntax"


class UndeclaredScopeError(ScopeError):
    """A scope that the project does not declare."""

    code = "scope_undeclared"


class ScopeAboveCeilingError(ScopeError):
    """A scope that the client may not hold."""

    code = "scope_above_ceiling"


class ScopeNotGrantableError(ScopeError):
    """A scope that this person may not give."""

    code = "scope_not_grantable"


class ScopeNotHeldError(ScopeError):
    """A scope that the key does not hold, so it can't be kept while narrowing."""

    code = "scope_not_held"


class NoScopesError(ScopeError):
    """A key without any scope, which could do nothing."""

    code = "scopes_empty"


class HashingFailedError(APIKeysError):
    """A secret could not be hashed, so that no key is stored, and none is found wrong."""

    code = "hashing_failed"


class ChangeRefusedError(APIKeysError):
    """Base of all refusals to change a key or a client. Do not raise directly."""

    code = "change_refused"


class NotPermittedError(ChangeRefusedError):
    """The acting person lacks a right that this change needs."""

    code = "not_permitted"


class NameRefusedError(ChangeRefusedError):
    """An empty, over-long, unprintable or key-shaped name or note."""

    code = "name_refused"


class DuplicateNameError(ChangeRefusedError):
    """A working key of this client has the name already."""

    code = "name_taken"

    def __init__(self, message: str, *, key: object) -> None:
        super().__init__(message)
        #: The working key that has the name.
        self.key = key


class TooManyKeysError(ChangeRefusedError):
    """The owner holds as many working keys as the setting allows."""

    code = "too_many_keys"

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class LifetimeRefusedError(ChangeRefusedError):
    """A lifetime that is past, too long, or endless where that is not allowed."""

    code = "lifetime_refused"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        #: ``"past"``, ``"too_long"`` or ``"endless"``.
        self.reason = reason


class OverlapRefusedError(ChangeRefusedError):
    """A negative overlap, or one above the setting."""

    code = "overlap_refused"


class NetworkSyntaxError(ChangeRefusedError):
    """A line that is no IP address and no network."""

    code = "network_syntax"

    def __init__(self, message: str, *, line: int, text: str) -> None:
        super().__init__(message)
        #: Counted from 1.
        self.line = line
        self.text = text


class TooManyNetworksError(ChangeRefusedError):
    """More networks than each request can be asked to compare."""

    code = "too_many_networks"


class ClientNotActiveError(ChangeRefusedError):
    """A key was asked for a client that is switched off."""

    code = "client_disabled"


class OwnerNotActiveError(ChangeRefusedError):
    """A key was asked for a person who is disabled."""

    code = "owner_disabled"


class ServiceKeysUnavailableError(ChangeRefusedError):
    """Keys without a person can't be told from people where the user model's primary key is text."""

    code = "service_keys_unavailable"


class KeyNotWorkingError(ChangeRefusedError):
    """A revoked, expired or rotated-out key, which nothing can bring back."""

    code = "key_not_working"


class AlreadyRotatedError(ChangeRefusedError):
    """The key has a replacement already."""

    code = "already_rotated"

    def __init__(self, message: str, *, replacement: object) -> None:
        super().__init__(message)
        #: The key that replaced it.
        self.replacement = replacement


class AlreadyRevokedError(ChangeRefusedError):
    """The key was revoked before."""

    code = "already_revoked"

    def __init__(self, message: str, *, at: datetime) -> None:
        super().__init__(message)
        self.at = at


class AlreadyUsedError(ChangeRefusedError):
    """A key that answered a request was delivered, so its issue can't be undone. Revoke it."""

    code = "already_used"


class ClientNameTakenError(ChangeRefusedError):
    """Another client has the name."""

    code = "client_name_taken"


class AlreadyIssuedError(ChangeRefusedError):
    """The same form was sent twice. Nothing new was made."""

    code = "already_issued"

    def __init__(self, message: str, *, key: object) -> None:
        super().__init__(message)
        #: The key that the first submit made.
        self.key = key
