"""Who is calling, for views that are not REST framework's: ``apikeys.verify`` and ``await apikeys.averify``."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest
from django.utils import timezone

from . import request_parts, verification
from .core import errors
from .core.calls import ATTRIBUTE, Call
from .core.principals import Principal


def verify(request: HttpRequest) -> Principal | None:
    """
    Return who is calling, or None where *request* holds no credential of ours.

    Raises:
        CredentialError: If it holds one that is refused; ``apikeys.drf.refusal_response`` makes the answer.
    """
    parts = request_parts.read(request)
    principal = verification.authenticate(parts, now=timezone.now())
    if principal is not None:
        setattr(request, ATTRIBUTE, Call(principal, address=parts.address))
    return principal


async def averify(request: HttpRequest) -> Principal | None:
    """
    Return what ``verify`` returns, from an async view. The person is loaded whole, which takes a second query.

    Raises:
        CredentialError: As ``verify``.
    """
    return await sync_to_async(_verify_whole, thread_sensitive=True)(request)


def _verify_whole(request: HttpRequest) -> Principal | None:
    principal = verify(request)
    if principal is not None and principal.acts_for_user:
        # What is missing loads when a field is touched, all at once. An async view has no right to such a query.
        try:
            principal.user.refresh_from_db(fields=())
        except ObjectDoesNotExist:
            raise errors.OwnerDisabledError(key_id=principal.key_id, family=principal.family) from None
    return principal
