"""What a person has let apps do, and the way to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from ...models import ClientKind
from ...status import absolute, is_felt_at_once, relative, takes_effect
from .. import consents, sentences
from ..models import Consent
from . import pages
from .asking import logo_urls


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One app on the page."""

    consent: Consent
    name: str
    publisher: str
    is_third_party: bool
    is_disabled: bool
    logo_url: str
    permissions: list[sentences.Sentence]
    since: str
    ends: str
    last_used: str
    withdraw_url: str


class ConnectedAppsView(pages.PersonPage):
    """The apps of the person who is signed in, one entry each, however many tokens it has."""

    def get(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        entries = _connections(list(consents.of(request.user, now=now)), user=request.user, now=now)
        return pages.page(
            request,
            "connected.html",
            title=_("Connected apps"),
            connections=entries,
            was_withdrawn="withdrawn" in request.GET,
            takes_effect="" if is_felt_at_once() else takes_effect(),
        )


class WithdrawView(pages.PersonPage):
    """Ask once more, then end what an app may do for the person who is signed in."""

    def get(self, request: HttpRequest, client_id: str) -> HttpResponse:
        (app,) = _connections([_mine(request.user, client_id)], user=request.user, now=timezone.now())
        return pages.page(
            request,
            "withdraw.html",
            title=_("Withdraw access of %(app)s?") % {"app": app.name},
            app=app,
        )

    def post(self, request: HttpRequest, client_id: str) -> HttpResponse:
        consents.withdraw(request.user, _mine(request.user, client_id).client, by=request.user)
        return pages.see_other(f"{reverse('oauth2_provider:connected-apps')}?withdrawn")


def _mine(user: Any, client_id: str) -> Consent:
    consent = consents.of(user).filter(client__client_id=client_id).first()
    if consent is None:
        raise Http404
    return consent


def _connections(of_person: list[Consent], *, user: Any, now: datetime) -> list[Connection]:
    logos = logo_urls([consent.client for consent in of_person])
    return [
        _connection(consent, logo_url=logos.get(consent.client.client_id, ""), user=user, now=now)
        for consent in of_person
    ]


def _connection(consent: Consent, *, logo_url: str, user: Any, now: datetime) -> Connection:
    client = consent.client
    link = getattr(client, "client_application", None)
    return Connection(
        consent=consent,
        name=client.name,
        publisher="" if link is None else link.publisher,
        is_third_party=client.kind == ClientKind.THIRD_PARTY,
        is_disabled=not client.is_active,
        logo_url=logo_url,
        # What the client may no longer hold, it can't do whatever the person allowed.
        permissions=sentences.allowed(
            [name for name in consent.scopes if name in client.allowed_scopes],
            user=user,
        ),
        since=absolute(consent.since),
        ends=relative(consent.expires_at, now=now),
        last_used="" if consent.last_used_at is None else relative(consent.last_used_at, now=now),
        withdraw_url=reverse("oauth2_provider:withdraw", args=[client.client_id]),
    )
