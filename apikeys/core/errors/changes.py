"""Why a key, a client or its sign-in is not changed."""

from __future__ import annotations

from datetime import datetime

from .root import APIKeysError


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


class RateSyntaxError(ChangeRefusedError):
    """A text that is no rate or no quota."""

    code = "rate_syntax"

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class TooManyNetworksError(ChangeRefusedError):
    """More networks than each request can be asked to compare."""

    code = "too_many_networks"


class TooManyLimitsError(ChangeRefusedError):
    """More rates or quotas than each request can be asked to count."""

    code = "too_many_limits"


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


class SignInExistsError(ChangeRefusedError):
    """The client signs in with OAuth already: there is one application to a client."""

    code = "sign_in_exists"


class SignInRefusedError(ChangeRefusedError):
    """Ways to sign in that don't go together, such as client credentials of an app that keeps no secret."""

    code = "sign_in_refused"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        #: The argument that is at fault.
        self.field = field


class RedirectRefusedError(ChangeRefusedError):
    """An address that no authorization code may be sent to."""

    code = "redirect_refused"

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class LogoRefusedError(ChangeRefusedError):
    """A picture that is no whole PNG, or too large."""

    code = "logo_refused"


class SecretReplacedError(ChangeRefusedError):
    """Somebody else, or the same form sent twice, replaced the client secret since it was read."""

    code = "secret_replaced"


class ClaimRefusedError(ChangeRefusedError):
    """A claim that is not declared, a value that its declaration does not take, or more than a token can carry."""

    code = "claim_refused"

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        #: The claim that is at fault; empty where it is all of them together.
        self.name = name


class ResourceRefusedError(ChangeRefusedError):
    """A text that can name no API server in tokens, one that names none, or one that others still name."""

    code = "resource_refused"

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class ResourceTakenError(ChangeRefusedError):
    """Another client is the API server of that address."""

    code = "resource_taken"
