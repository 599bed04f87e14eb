"""
A key and a token on one request: the key says which app calls, the token of the same client for which person.

For data that belongs to people, in an API in which every call needs a key.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NoReturn

from rest_framework.request import Request
from rest_framework.views import APIView

from .. import pending, verification
from ..core import errors
from ..core.credentials import RequestParts
from ..core.principals import Principal
from ..drf.permissions import HasOwner
from ..drf.principals import PrincipalAuthentication
from ..drf.refusals import Refused, missing_credential
from . import bearer, proving, refused
from .authentication import address_of

KIND = "layered"


class LayeredAuthentication(PrincipalAuthentication):
    """
    Take a key in ``X-API-Key`` together with an access token in ``Authorization: Bearer``, and neither alone.

    Both are verified before either is believed, by one query each. ``request.auth`` has the client, id and limits of
    the key, the person of the token, and the scopes that both have. The key may be a service key, or act for the
    person of the token. It stands alone in ``authentication_classes``.
    """

    credentials = ("key", "token")

    def presents(self, parts: RequestParts) -> bool:
        return bearer.presents(parts) or verification.presents(parts)

    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        has_key, has_token = "x-api-key" in parts.headers, bearer.presents(parts)
        if error := _error_of_missing(parts, has_key=has_key, has_token=has_token):
            _refuse(error, parts, now=now)
        if not has_key:
            return None
        # A refused pair is no use of either.
        uses: list[pending.Item] = []
        for_key, for_token = _without(parts, "authorization"), _without(parts, "x-api-key")
        uri = partial(address_of, request, parts)
        key = verification.authenticate(for_key, now=now, leave_use=uses.append)
        token = proving.authenticate(for_token, uri=uri, now=now, leave_use=uses.append)
        if key is None or token is None:
            # No scheme of the project reads X-API-Key: both are there, so it is not for others to say who calls.
            _refuse(errors.KeyMissingBesideTokenError(), parts, now=now)
        if error := _error_of_pair(key, token):
            _refuse(error, parts, now=now)
        for use in uses:
            pending.leave(use)
        return _both(key, token)

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        verification.leave_refusal(error, parts, now=now)


class HasUserConsent(HasOwner):
    """
    An app's key and the token of a person who consented to that app, together. It opens no view by itself.

    A key alone, a token alone and nothing at all are refused with a challenge that names what is missing. People who
    are signed in have neither and are refused as well; join ``IsSessionUser`` for them.
    """

    needs_credentials = ("key", "token")

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = request.auth if isinstance(request.auth, Principal) else None
        if principal is None and not getattr(request.user, "is_authenticated", False):
            raise missing_credential(request)
        if principal is None:
            return False
        if principal.kind == KIND:
            return super().has_permission(request, view)
        code = "token_missing" if principal.key_id else "key_missing_beside_token"
        raise Refused(code, about="both", request=request)


def _refuse(error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> NoReturn:
    verification.leave_refusal(error, parts, now=now)
    if isinstance(error, errors.CredentialsDifferError):
        pending.leave(pending.Task(write=partial(refused.record_pair, error, parts=parts, now=now)))
    raise error


def _without(parts: RequestParts, name: str) -> RequestParts:
    return replace(parts, headers={header: value for header, value in parts.headers.items() if header != name})


def _error_of_missing(parts: RequestParts, *, has_key: bool, has_token: bool) -> errors.CredentialError | None:
    """Return what is wrong with the number of credentials in *parts*; None for both and for none."""
    is_key_elsewhere = not has_token and verification.presents(_without(parts, "x-api-key"))
    if has_key and is_key_elsewhere:
        return errors.AmbiguousCredentialError(about="both")
    if is_key_elsewhere or (has_key and not has_token):
        return errors.TokenMissingError()
    return errors.KeyMissingBesideTokenError() if has_token and not has_key else None


def _error_of_pair(key: Principal, token: Principal) -> errors.CredentialError | None:
    """Return why *key* and *token*, both genuine, may not act together; None where they may."""
    is_one_person = not key.acts_for_user or key.user_pk == token.user_pk
    kind: type[errors.CredentialError]
    if not token.acts_for_user:
        kind = errors.TokenMissingError
    elif key.client_id != token.client_id or not is_one_person:
        kind = errors.CredentialsDifferError
    else:
        return None
    return kind(key_id=key.key_id, family=key.family, client_id=key.client_id)


def _both(key: Principal, token: Principal) -> Principal:
    ends = [end for end in (key.expires_at, token.expires_at) if end is not None]
    return Principal(
        kind=KIND,
        client_id=key.client_id,
        client_name=key.client_name,
        key_id=key.key_id,
        key_name=key.key_name,
        family=key.family,
        scopes=key.scopes & token.scopes,
        user=token.user,
        user_pk=token.user_pk,
        acts_for_user=True,
        expires_at=min(ends, default=None),
        is_replaced=key.is_replaced,
        claims=key.claims,
        rates=key.rates,
        quotas=key.quotas,
    )
