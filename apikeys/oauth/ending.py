"""End what the toolkit gave to an application, or to it for one person: codes, device codes, tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.models import redirect_to_uri_allowed, refresh_token_expire_timedelta

from ..models import Client
from . import codes, rows
from .refused import record_replay


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
    """End the access or refresh token *text* of the client *client_id* as ``end_token`` does; spent ones as well."""
    link = rows.links().filter(client__client_id=client_id).first()
    if link is None:
        return
    presented = {"token_checksum": codes.digest(text), "application_id": link.application_id}
    with holding([link.application_id]):
        for tokens in (rows.access_tokens(), rows.refresh_tokens()):
            for token in tokens.filter(**presented):
                end_token(token)


def end_what_code_gave(code_digest: str, *, application: Any, now: datetime) -> bool:
    """
    End what the code gave, where it is a spent one of *application* (RFC 6749 section 4.1.2).

    Return whether that left an event, which it does once in an hour where a token still worked.
    """
    spent = codes.find_spent(code_digest, application=application)
    if spent is None:
        return False
    with holding([application.pk]):
        access_tokens = rows.access_tokens().filter(token_checksum=spent.access_token_checksum, application=application)
        alive = access_tokens.select_related("user").first()
        if spent.token_family is not None:
            family = rows.refresh_tokens().filter(token_family=spent.token_family, revoked=None)
            alive = family.select_related("user").first() or alive
        if alive is None:
            return False
        end_token(alive)
        return record_replay(application=application, user=alive.user, what="code", now=now)


def end_what_refreshing_gave(spent: Any, *, now: datetime) -> bool:
    """
    End what came of the refresh token *spent*, which was brought again (RFC 9700 section 4.14.2).

    Return whether that left an event, which it does once in an hour.
    """
    with holding([spent.application_id]):
        end_token(spent)
        return record_replay(application=spent.application, user=spent.user, what="refresh_token", now=now)


@contextmanager
def holding(application_pks: Iterable[Any]) -> Iterator[None]:
    """Let none of *application_pks* get or refresh a token before the block ends, which is a transaction."""
    with transaction.atomic(using=rows.refresh_tokens().db):
        rows.lock_links(application_pks)
        yield


def end_token(token: Any) -> None:
    """
    End *token*, an access or a refresh token, with all that one sign-in gave and refreshing has made of it since.

    *token* was read while its application was held by ``holding``: a refresh that came between would leave one that
    works. RFC 7009 section 2.1 has one end with the other.
    """
    refresh_tokens = rows.refresh_tokens()
    is_refresh_token = isinstance(token, refresh_tokens.model)
    refresh_token = token if is_refresh_token else refresh_tokens.filter(access_token=token).first()
    access_tokens = [] if is_refresh_token else [token.pk]
    if refresh_token is not None:
        # One that is older than families are is alone.
        alike = {"token_family": refresh_token.token_family} if refresh_token.token_family else {"pk": refresh_token.pk}
        family, now = refresh_tokens.filter(**alike), timezone.now()
        access_tokens += family.exclude(access_token=None).values_list("access_token", flat=True)
        family.filter(revoked=None).update(revoked=now, updated=now)
    # Last, as whoever else ends both locks them.
    rows.access_tokens().filter(pk__in=access_tokens).delete()


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
