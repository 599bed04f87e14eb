"""End what the toolkit gave to an application, or to it for one person: codes, device codes, tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.models import redirect_to_uri_allowed, refresh_token_expire_timedelta, revoke_access_token

from ..models import Client
from . import codes, rows


def end_all(application: Any) -> int:
    """
    Stop every token, code and device code of *application*. Return how many tokens worked until then.

    In the caller's transaction. Refresh tokens stay as revoked rows, so that one that is used again is noticed.
    """
    now = timezone.now()
    count = sum(tokens.count() for tokens in _working(application=application))
    _end_tokens_and_codes(now=now, application=application)
    rows.device_grants().filter(client_id=application.client_id).delete()
    return count


def end_for_person(user: Any, client: Client, *, now: datetime) -> None:
    """Stop every token and code with which *client* acts for *user*, and turn away the devices that *user* let in."""
    _end_tokens_and_codes(now=now, user_id=user.pk, application__client_application__client=client)
    client_ids = rows.links().filter(client=client).values_list("application__client_id", flat=True)
    devices = rows.device_grants()
    let_in = devices.filter(
        user_id=user.pk,
        client_id__in=list(client_ids),
        status=devices.model.AUTHORIZED,
    )
    # Not deleted: the device is told that it was refused.
    let_in.update(status=devices.model.DENIED)


@sensitive_variables("text")
def end_presented(text: str, *, client_id: str) -> None:
    """End the access or refresh token *text* of the client *client_id*, and the other one of the pair."""
    presented = {"token_checksum": codes.digest(text), "application__client_application__client__client_id": client_id}
    for token in rows.access_tokens().filter(**presented):
        revoke_access_token(token)
    for token in rows.refresh_tokens().filter(**presented, revoked=None):
        token.revoke()


def end_codes_elsewhere(application: Any) -> int:
    """Delete the codes for addresses that *application* has no longer, and return their number."""
    registered = application.redirect_uris.split()
    codes = rows.codes().filter(application=application).values_list("pk", "redirect_uri")
    ended = [pk for pk, address in codes if not redirect_to_uri_allowed(address, registered)]
    return int(rows.codes().filter(pk__in=ended).delete()[0])


def working_tokens(client: Client) -> int:
    """Return how many tokens of *client* work, access and refresh tokens together."""
    return sum(tokens.count() for tokens in _working(application__client_application__client=client))


def working_tokens_of(client: OuterRef) -> Combinable:
    """Return ``working_tokens`` of *client*, as a column of a query of clients."""
    access, refresh = (
        Coalesce(Subquery(tokens.values("application").annotate(count=Count("pk")).values("count")), 0)
        for tokens in _working(application__client_application__client=client)
    )
    return access + refresh


def _end_tokens_and_codes(*, now: datetime, **whose: Any) -> None:
    rows.refresh_tokens().filter(**whose, revoked=None).update(revoked=now, updated=now)
    rows.access_tokens().filter(**whose).delete()
    rows.codes().filter(**whose).delete()


def _working(**whose: Any) -> tuple[QuerySet[Any], QuerySet[Any]]:
    now = timezone.now()
    # None where the project lets them live for ever.
    lifetime = refresh_token_expire_timedelta()
    is_young = Q() if lifetime is None else Q(created__gt=now - lifetime)
    return (
        rows.access_tokens().filter(**whose, expires__gt=now),
        rows.refresh_tokens().filter(is_young, **whose, revoked=None),
    )
