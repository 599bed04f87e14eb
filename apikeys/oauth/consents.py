"""Give, withdraw and look up what people let clients do: the only writer of consents. Each change leaves its event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import events, policy
from ..conf import settings
from ..core import errors
from ..models import LAST_USED_ACCURACY, Client, ClientKind, EventKind, user_name_of
from ..registry import scope_registry
from . import ending
from .models import Consent
from .scopes import available


def give(
    user: Any,
    client: Client,
    *,
    scopes: Iterable[str],
    source: str = "page",
    is_implied: bool = False,
    now: datetime | None = None,
) -> Consent:
    """
    Let *client* do *scopes* for *user*, beside what it may do already, and return the consent.

    It lasts for ``CONSENT_LIFETIME`` from *now*. *is_implied* says that nobody was asked: with what that adds, all of
    it counts as not asked for, and the person's answer begins anew. Tokens of an earlier consent that is over stay
    dead.

    Raises:
        APIKeysError: For no scope, one that is undeclared, reserved or above the client's ceiling, and for a person
            or a client that is disabled.
    """
    now = now or timezone.now()
    wanted = _grantable(list(scopes), client=client)
    if not user.is_active:
        raise errors.OwnerNotActiveError(_("This person is disabled."))
    begun = _begun(wanted, is_implied=is_implied, now=now)
    with transaction.atomic(using=_database()):
        rows = Consent.objects.using(_database()).select_for_update()
        consent, is_new = rows.get_or_create(user_id=user.pk, client=client, defaults=begun)
        was_live = not is_new and now < consent.expires_at and consent.counts_for(client)
        if not was_live:
            ending.end_for_person(user, client, now=now)
        # An answer confirms nothing that the page did not show.
        goes_on = was_live and (is_implied or not consent.is_implied)
        added = [name for name in wanted if not (goes_on and name in consent.scopes)]
        if not is_new:
            fields = _renewed(consent, client, added, is_implied=is_implied, now=now) if goes_on else begun
            for name, value in fields.items():
                setattr(consent, name, value)
            consent.save(update_fields=list(fields))
        # Without asking, an app of the site's own comes back many times a day.
        if added or not is_implied:
            details = {"scopes": added, "implied": is_implied}
            events.record(EventKind.CONSENT_GIVEN, client=client, by=user, source=source, details=details)
    return consent


def withdraw(user: Any, client: Client, *, by: Any = None, source: str = "page", now: datetime | None = None) -> bool:
    """
    End what *client* may do for *user*: its tokens, codes and devices stop with it. Return whether there was anything.

    *by* is the person who withdraws; None is trusted code, such as a command.

    Raises:
        NotPermittedError: If *by* is somebody else who may not stop keys.
    """
    policy.require(permitted=by is None or by.pk == user.pk or policy.may_revoke(by))
    with transaction.atomic(using=_database()):
        consent = _locked(user, client)
        # Also where there is none: what is left over must not work again after the next consent.
        ending.end_for_person(user, client, now=now or timezone.now())
        if consent is None:
            return False
        details = {"scopes": consent.scopes, "person": user_name_of(user)}
        consent.delete()
        events.record(EventKind.CONSENT_WITHDRAWN, client=client, by=by, source=source, details=details)
    return True


def live(user: Any, client: Client, *, now: datetime | None = None) -> Consent | None:
    """Return what *user* lets *client* do at *now*, None where that is nothing."""
    rows = Consent.objects.using(_database())
    found = rows.filter(user_id=user.pk, client=client, expires_at__gt=now or timezone.now()).first()
    return found if found is not None and found.counts_for(client) else None


def of(user: Any, *, now: datetime | None = None) -> QuerySet[Consent]:
    """Return the consents of *user* that are not over, with their clients, in the order of names."""
    rows = Consent.objects.using(_database()).select_related("client__client_application")
    rows = rows.defer("client__client_application__logo")
    # As ``Consent.counts_for``.
    counting = Q(is_implied=False) | Q(client__kind=ClientKind.FIRST_PARTY)
    return rows.filter(counting, user_id=user.pk, expires_at__gt=now or timezone.now()).order_by("client__name")


def lock_covering(user: Any, client: Client, *, scopes: Iterable[str], now: datetime) -> Consent:
    """
    Return the consent of *user* to *client*, locked until the caller's transaction ends.

    Raises:
        ConsentMissingError: If there is none at *now*, or it lacks one of *scopes*.
    """
    consent = _locked(user, client)
    if consent is None or consent.expires_at <= now or not consent.counts_for(client):
        raise errors.ConsentMissingError
    if not set(scopes) <= set(consent.scopes):
        raise errors.ConsentMissingError
    return consent


def record_use(consent_pk: int, *, at: datetime) -> None:
    """Write down that the consent was used at *at*, at most once a minute. One UPDATE; no error where it is gone."""
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_ACCURACY)
    Consent.objects.using(_database()).filter(is_due, pk=consent_pk).update(last_used_at=at)


def _begun(scopes: list[str], *, is_implied: bool, now: datetime) -> dict[str, Any]:
    """Return the fields of a consent to *scopes* that begins at *now*."""
    return {
        "scopes": scopes,
        "given_at": now,
        "since": now,
        "expires_at": now + settings.CONSENT_LIFETIME,
        "is_implied": is_implied,
    }


def _renewed(consent: Consent, client: Client, added: list[str], *, is_implied: bool, now: datetime) -> dict[str, Any]:
    """Return the fields of *consent*, which goes on and holds *added* as well from *now* on."""
    if is_implied:
        # Nobody was asked: it must make nothing fresh, and what is added is not what the person said.
        given = {"scopes": [*consent.scopes, *added], "given_at": consent.given_at}
        return _begun(added, is_implied=consent.is_implied or bool(added), now=now) | given | {"since": consent.since}
    # The page called only that an ability which the app may still hold.
    held = [name for name in consent.scopes if name in available(client)]
    return _begun([*held, *added], is_implied=False, now=now) | {"since": consent.since}


def _grantable(names: list[str], *, client: Client) -> list[str]:
    wanted = scope_registry().require(names)
    if not wanted:
        raise errors.NoScopesError(_("Allow one permission at least."))
    if not client.is_active:
        raise errors.ClientNotActiveError(_("This client is disabled."))
    if reserved := [name for name in wanted if scope_registry()[name].is_reserved]:
        message = _("No person can give an app: %(scopes)s.") % {"scopes": ", ".join(reserved)}
        raise errors.ScopeNotGrantableError(message, names=reserved)
    if above := [name for name in wanted if name not in client.allowed_scopes]:
        message = _("This client may not hold: %(scopes)s.") % {"scopes": ", ".join(above)}
        raise errors.ScopeAboveCeilingError(message, names=above)
    return wanted


def _locked(user: Any, client: Client) -> Consent | None:
    rows = Consent.objects.using(_database()).select_for_update()
    return rows.filter(user_id=user.pk, client=client).first()


def _database() -> str:
    return router.db_for_write(Consent)
