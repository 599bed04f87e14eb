"""How the token endpoint refuses: as RFC 6749 section 5.2 and RFC 8693 section 2.2.2 write it, and on record."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus

from django.db import router
from django.http import HttpResponse, JsonResponse

from .. import events, limits, pending
from ..core import errors
from ..core.networks import Address
from ..models import APIKey, EventKind

#: What is wrong with how the key was sent, and not with the key.
_OF_THE_REQUEST = (errors.AmbiguousCredentialError, errors.HTTPSRequiredError, errors.KeyInQueryError)
_CHALLENGE = 'Basic realm="token", charset="UTF-8"'


class TokenRefusedError(ValueError):
    """A request that gets no token. The text is for the developer: ASCII, without quotes, and nothing of the input."""

    def __init__(
        self,
        error: str,
        *,
        description: str = "",
        status: int = HTTPStatus.BAD_REQUEST,
        code: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        #: As the standards name it.
        self.error = error
        self.status = status
        #: Why the key was refused, as on every other endpoint; empty where the key is not the reason.
        self.code = code
        self.headers = headers or {}


def of_credential(error: errors.CredentialError, *, is_client_secret: bool) -> TokenRefusedError:
    """Return the refusal of a key that failed with *error*, as the client's secret or as the subject of an exchange."""
    wait = getattr(error, "retry_after_seconds", None)
    if wait is not None:
        is_down = isinstance(error, errors.LimitsUnavailableError)
        refused = unavailable(
            retry_after_seconds=wait,
            status=HTTPStatus.SERVICE_UNAVAILABLE if is_down else HTTPStatus.TOO_MANY_REQUESTS,
            code=error.code,
        )
        if isinstance(error, errors.LimitExceededError):
            refused.headers.update(limits.header_fields(error.standings))
        return refused
    if isinstance(error, errors.HTTPSRequiredError):
        return TokenRefusedError("invalid_request", description="HTTPS is required.", code=error.code)
    if is_client_secret and not isinstance(error, _OF_THE_REQUEST):
        return unauthenticated(description="The key is refused.", code=error.code)
    return TokenRefusedError("invalid_request", description="The key is refused.", code=error.code)


def unauthenticated(*, description: str, code: str = "") -> TokenRefusedError:
    """Return the refusal of a client that did not prove to be the one that it names."""
    return TokenRefusedError(
        "invalid_client",
        description=description,
        status=HTTPStatus.UNAUTHORIZED,
        code=code,
        headers={"WWW-Authenticate": _CHALLENGE},
    )


def unavailable(
    *, retry_after_seconds: int, status: int = HTTPStatus.SERVICE_UNAVAILABLE, code: str = ""
) -> TokenRefusedError:
    """Return that nobody gets a token now, or not this key."""
    return TokenRefusedError(
        "temporarily_unavailable", status=status, code=code, headers={"Retry-After": str(retry_after_seconds)}
    )


def answer(error: TokenRefusedError) -> HttpResponse:
    """Return the response to *error*."""
    members = {"error": error.error, "error_description": str(error), "code": error.code}
    shown = {name: value for name, value in members.items() if value}
    return JsonResponse(shown, status=error.status, headers=error.headers)


def leave(error: TokenRefusedError, *, key_pk: int, address: Address | None, now: datetime) -> None:
    """Leave it to be recorded after the response that a verified key was refused so, once an hour and client."""
    pending.leave(pending.Task(write=partial(_record, error.error, key_pk=key_pk, address=address, now=now)))


def _record(name: str, *, key_pk: int, address: Address | None, now: datetime) -> None:
    keys = APIKey.objects.using(router.db_for_write(APIKey)).select_related("client")
    key = keys.filter(pk=key_pk).first()
    if key is None:
        return
    events.record_first(
        EventKind.OAUTH_REFUSED,
        once=f"{key.client.client_id}:token:{name}:{now:%Y%m%d%H}",
        at=now,
        key=key,
        address=None if address is None else str(address),
        details={"error": name},
    )
