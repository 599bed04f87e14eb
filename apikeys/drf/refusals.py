"""
How a refusal leaves: status, ``WWW-Authenticate`` and body in one place.

``Refused`` is not an ``AuthenticationFailed``: REST framework overwrites that one's challenge with the first
authenticator's, and turns 401 into 403 where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import formats, timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.translation import get_language, ngettext_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request

from ..conf import settings
from ..core import errors
from ..core.calls import note_refusal
from ..core.principals import Principal
from ..core.scopes import Scope, is_scope_name
from ..limits.fields import header_fields
from ..registry import scope_registry

REALM = "api"
_INVALID_REQUEST = "invalid_request"
_INVALID_TOKEN = "invalid_token"  # noqa: S105  # the error code of RFC 6750
_INSUFFICIENT_SCOPE = "insufficient_scope"

#: Code to status, ``error`` of the challenge (None for no challenge) and sentence.
ANSWERS: dict[str, tuple[int, str | None, Promise]] = {
    "invalid_request": (400, _INVALID_REQUEST, _("Send one key, once.")),
    "key_in_query": (
        400,
        None,
        _("Never put a key in the address. Rotate this one and use the Authorization header."),
    ),
    "key_missing": (401, "", _("This endpoint needs an API key. Send it as: Authorization: Bearer <key>.")),
    "key_malformed": (401, _INVALID_TOKEN, _("This is not a whole key. Copy it again.")),
    "key_invalid": (401, _INVALID_TOKEN, _("This key is not known here. Check that it was copied whole.")),
    "key_expired": (401, _INVALID_TOKEN, _("This key expired on %(date)s. Ask its owner to rotate it.")),
    "key_revoked": (401, _INVALID_TOKEN, _("This key was revoked on %(date)s.")),
    "key_rotated": (
        401,
        _INVALID_TOKEN,
        _("This key was replaced and its overlap ended on %(date)s. Use the new key."),
    ),
    "token_in_query": (
        400,
        None,
        _("Never put a token in the address. Send it in the Authorization header, and treat this one as leaked."),
    ),
    "token_missing": (
        401,
        "",
        _("This endpoint needs a person's access token beside the key. Send it as: Authorization: Bearer <token>."),
    ),
    "token_invalid": (
        401,
        _INVALID_TOKEN,
        _("This token is not known here. It may have been withdrawn: ask for a new one."),
    ),
    "token_expired": (401, _INVALID_TOKEN, _("This token expired. Ask for a new one.")),
    "key_missing_beside_token": (
        401,
        "",
        _("This endpoint needs the app's API key beside the token. Send it as: X-API-Key: <key>."),
    ),
    # As of a token that is bound to another certificate (RFC 8705 section 3).
    "credentials_differ": (
        401,
        _INVALID_TOKEN,
        _("The key and the token belong to different apps, or act for different people."),
    ),
    "wrong_mode": (401, _INVALID_TOKEN, _("This is a %(presented)s key; this server takes %(expected)s keys.")),
    "insufficient_scope": (403, _INSUFFICIENT_SCOPE, _("This key lacks the permission “%(label)s” (%(name)s).")),
    "ip_not_allowed": (403, None, _("This key may not be used from this address.")),
    "owner_disabled": (403, None, _("The person this key acts for is disabled.")),
    "owner_required": (403, None, _("This endpoint needs a key that acts for a person.")),
    "claim_missing": (
        403,
        None,
        _("This key's “%(label)s” (%(name)s) does not open this endpoint. Only who runs this site can change it."),
    ),
    "scopes_not_declared": (403, None, _("This endpoint is not open to keys.")),
    "client_disabled": (403, None, _("The app this key belongs to is switched off.")),
    "resource_required": (
        403,
        None,
        _("This endpoint is for API servers, and the app this key belongs to has no address as one."),
    ),
    "https_required": (403, None, _("Keys are accepted only over HTTPS. Treat this key as leaked.")),
    "rate_limited": (
        429,
        None,
        ngettext_lazy(
            "Too many requests. Try again in %(seconds)d second.",
            "Too many requests. Try again in %(seconds)d seconds.",
            "seconds",
        ),
    ),
    "authority_unavailable": (
        503,
        None,
        _("Keys and tokens can't be checked at the moment. Try again in a few seconds."),
    ),
    "limits_unavailable": (503, None, _("Limits can't be checked at the moment. Try again in a few seconds.")),
}

#: What the same codes say of other credentials than keys, by what was refused.
_SENTENCES: dict[str, dict[str, Promise]] = {
    "token": {
        "invalid_request": _("Send one key or one token, once."),
        "token_missing": _("This endpoint needs an access token. Send it as: Authorization: Bearer <token>."),
        "insufficient_scope": _("This token lacks the permission “%(label)s” (%(name)s)."),
        "ip_not_allowed": _("This token may not be used from this address."),
        "owner_disabled": _("The person this token acts for is disabled."),
        "owner_required": _("This endpoint needs a token that acts for a person."),
        "claim_missing": _(
            "This token's “%(label)s” (%(name)s) does not open this endpoint. Only who runs this site can change it."
        ),
        "scopes_not_declared": _("This endpoint is not open to tokens."),
        "client_disabled": _("The app this token was given to is switched off."),
        "https_required": _("Tokens are accepted only over HTTPS. Treat this token as leaked."),
    },
    "either": {
        "key_missing": _(
            "This endpoint needs an API key or an access token. Send it as: Authorization: Bearer <key or token>."
        ),
    },
    "both": {
        "invalid_request": _("Send one key in X-API-Key and one token in Authorization: Bearer."),
        "key_missing": _(
            "This endpoint needs an API key and a person's access token. Send them as: X-API-Key: <key> and "
            "Authorization: Bearer <token>."
        ),
        "insufficient_scope": _("The key and the token don't both have the permission “%(label)s” (%(name)s)."),
        "scopes_not_declared": _("This endpoint is not open to keys and tokens."),
    },
}
_TOO_DEAR = _("This request costs more than its limit allows, so that waiting does not help.")
_KEY_CHALLENGE = f'Api-Key realm="{REALM}", header="X-API-Key"'
#: Challenges that a code and what it speaks of have by themselves.
_CHALLENGES = {
    ("key_missing_beside_token", "both"): _KEY_CHALLENGE,
    ("key_missing", "both"): f'Bearer realm="{REALM}", {_KEY_CHALLENGE}',
}
#: ``error_description``, ASCII without quotes (RFC 6750 section 3).
_DESCRIPTIONS = {"credentials_differ": "The token is not of the client and the person of the key"}


class Refused(APIException):
    """
    A request that is not let in, with its stable code (RFC 6750 section 3).

    The body is ``detail``, ``code`` and what *members* add. *about* is what the sentence speaks of: ``"key"``,
    ``"token"``, ``"either"`` or ``"both"``.
    """

    status_code: int = status.HTTP_403_FORBIDDEN

    #: Seconds, of which REST framework's exception handler makes ``Retry-After``.
    wait: int | None = None

    def __init__(
        self,
        code: str,
        *,
        request: Request | None = None,
        about: str = "key",
        texts: dict[str, Any] | None = None,
        scope: str = "",
        **members: Any,
    ) -> None:
        # The parent would turn every member of the body into text.
        status_code, error, _sentence = ANSWERS[code]
        self.status_code = status_code
        self.code = code
        self.auth_header = _CHALLENGES.get((code, about))
        if self.auth_header is None and error is not None:
            self.auth_header = challenge(error, scope=scope, description=_DESCRIPTIONS.get(code, ""))
        self.detail: Any = {
            "detail": sentence_of(code, about=about) % texts if texts else _said(code, about, get_language() or ""),
            "code": code,
            **members,
        }
        if settings.ERROR_DOCS_URL or settings.REQUEST_ID is not None:
            self.detail.update(_extra_members(code, request))

    def __str__(self) -> str:
        return self.code

    def get_codes(self) -> str:
        return self.code

    def get_full_details(self) -> Any:
        return {"message": self.detail["detail"], "code": self.code}

    @classmethod
    def from_error(cls, error: errors.CredentialError, *, request: Request | None = None) -> Refused:
        """Return the answer to *error*."""
        texts: dict[str, Any] = {} if error.at is None else {"date": _long_date(error.at)}
        members: dict[str, Any] = {}
        kind, wait = cls, getattr(error, "retry_after_seconds", None)
        if isinstance(error, errors.ExpiredKeyError | errors.ExpiredTokenError) and error.at is not None:
            members["expired_at"] = iso(error.at)
        elif isinstance(error, errors.WrongModeError):
            texts.update(presented=error.presented, expected=error.expected)
        elif isinstance(error, errors.TooManyHashesError):
            texts["seconds"] = wait
        elif isinstance(error, errors.LimitExceededError):
            kind = Limited
            texts["seconds"] = wait or 0
            members["violated_policies"] = list(error.violated)
        refused = kind(error.code, request=request, about=error.about, texts=texts, **members)
        if kind is Limited and wait is None:
            refused.detail["detail"] = str(_TOO_DEAR)
        refused.wait = wait
        return refused


class Limited(Refused, Throttled):
    """A request over a limit, also for handlers that look for REST framework's own exception."""


def refusal_response(error: errors.CredentialError | None, *, request: HttpRequest | None = None) -> JsonResponse:
    """
    Return the answer to *error*, or to a request without a key, for a view that is not REST framework's.

    *request* is for its id, which the setting ``REQUEST_ID`` reads off it, and for the usage.
    """
    wrapped = None if request is None else Request(request)
    refused = Refused("key_missing", request=wrapped) if error is None else Refused.from_error(error, request=wrapped)
    headers = {"WWW-Authenticate": refused.auth_header, "Retry-After": refused.wait}
    if isinstance(error, errors.LimitExceededError):
        headers |= header_fields(error.standings)
        note_refusal(request, "limited")
    return _response(refused, headers)


def missing_scope_response(principal: Principal, *names: str, request: HttpRequest) -> JsonResponse:
    """Return the 403 to *principal*, who lacks one of *names*, for a view that is not REST framework's."""
    note_refusal(request, "scope_missing")
    refused = missing_scope(
        names, granted=principal.scopes, match_any=False, request=Request(request), about=principal.about
    )
    return _response(refused, {"WWW-Authenticate": refused.auth_header})


def _response(refused: Refused, headers: dict[str, Any]) -> JsonResponse:
    given = {name: str(value) for name, value in headers.items() if value is not None}
    response = JsonResponse(refused.detail, status=refused.status_code, headers=given)
    patch_vary_headers(response, ["Authorization", "X-API-Key"])
    return response


def sentence_of(code: str, *, about: str = "key") -> Promise:
    """Return what the refusal *code* says of a key, or of what *about* names."""
    return _SENTENCES.get(about, {}).get(code, ANSWERS[code][2])


def missing_credential(request: Request) -> Refused:
    """Return the 401 of a request without a credential, which names what its view takes."""
    # Of ours alone: what others call ``credentials`` may be anything.
    ours: list[Any] = [way for way in request.authenticators or () if getattr(way, "takes_our_credentials", False)]
    ways = {tuple(held) for way in ours for held in (way.credentials, getattr(way, "otherwise", ()))} - {()}
    if ("key", "token") in ways:
        return Refused("key_missing", about="both", request=request)
    if ways == {("token",)}:
        return Refused("token_missing", about="token", request=request)
    return Refused("key_missing", about="either" if ("token",) in ways else "key", request=request)


@lru_cache(maxsize=256)
def challenge(error: str = "", *, scope: str = "", description: str = "") -> str:
    """
    Return a ``WWW-Authenticate`` value (RFC 6750 section 3); without *error* where no credential was sent.

    *scope* is made of scope-tokens, whose alphabet has no quote and no backslash, so that it can't end the string; nor
    may *description* have one.
    """
    parts = [f'realm="{REALM}"']
    if error:
        parts.append(f'error="{error}"')
    if description:
        parts.append(f'error_description="{description}"')
    if scope:
        parts.append(f'scope="{scope}"')
    return "Bearer " + ", ".join(parts)


def missing_scope(
    required: Sequence[str], *, granted: Iterable[str], match_any: bool, request: Request, about: str = "key"
) -> Refused:
    """Return the 403 that names what is missing of *required*."""
    held = set(granted)
    missing = [name for name in required if name not in held]
    # RFC 6750: the scope necessary; of several ways in, the first.
    necessary = required[:1] if match_any else required
    label = scope_registry().get(missing[0])
    return Refused(
        "insufficient_scope",
        request=request,
        about=about,
        texts={"label": _label(label, missing[0]), "name": missing[0]},
        # A name that is no scope-token, because a view misspells it, could end the quoted string.
        scope=" ".join(filter(is_scope_name, necessary)),
        required_scopes=list(required),
        granted_scopes=sorted(held),
    )


def iso(instant: datetime) -> str:
    """Return *instant* in UTC, to the second: ``2026-11-26T04:00:00Z``."""
    return timezone.localtime(instant, timezone=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=256)
def _said(code: str, about: str, language: str) -> str:
    # A flood of forged keys gets one sentence over and over.
    return str(sentence_of(code, about=about) % {})


def _label(scope: Scope | None, name: str) -> str:
    return name if scope is None else str(scope.label)


def _long_date(instant: datetime) -> str:
    return formats.date_format(timezone.localtime(instant), "j F Y")


def _extra_members(code: str, request: Request | None) -> dict[str, str]:
    members = {}
    if settings.ERROR_DOCS_URL:
        members["docs"] = f"{settings.ERROR_DOCS_URL}#{code}"
    if request is not None and (request_id := _request_id(request._request)):
        members["request_id"] = request_id
    return members


def _request_id(request: HttpRequest) -> str | None:
    find = settings.REQUEST_ID
    return find(request) if find is not None else None
