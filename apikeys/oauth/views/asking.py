"""The question that a person is asked for one app, on the web as for a device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from ...conf import settings
from ...models import Client, ClientKind
from ...status import span_of
from .. import sentences
from ..forms import ConsentForm
from ..models import ClientApplication, Consent
from ..rows import links
from ..scopes import narrowed
from . import pages


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one app asks of one person: to do *scopes*."""

    link: ClientApplication
    user: Any
    scopes: list[str]
    #: What counts already, None where nothing does.
    consent: Consent | None
    #: Where the answer goes; empty for a device, which comes and asks.
    redirect_uri: str = ""
    #: Which request of a device it is, as its form names it: a text, so that no language groups its digits.
    device: str = ""

    @cached_property
    def held(self) -> list[str]:
        """What the app can do already by the person's word, asked for now or not."""
        if self.consent is None or self.consent.is_implied:
            return []
        return narrowed(self.consent.scopes, client=self.link.client, consent=None)

    @cached_property
    def new(self) -> list[str]:
        """What it asks for beside that."""
        held = set(self.held)
        return [name for name in self.scopes if name not in held]

    def form(self, data: Any = None) -> ConsentForm:
        """Return the form that takes the answer."""
        left_to_person = set(self.link.optional_scopes)
        optional = [name for name in self.new if name in left_to_person]
        return ConsentForm(data, scopes=self.scopes, optional=optional)

    def page(self, request: HttpRequest, form: ConsentForm, *, action: str, status: int = 200) -> TemplateResponse:
        """Return the page that asks; *action* is the address that takes the answer."""
        client = self.link.client
        ticked = request.POST.getlist("optional") if form.is_bound else self.new
        return pages.page(
            request,
            "consent.html",
            title=_("Allow %(app)s?") % {"app": client.name},
            status=status,
            form_targets=[pages.form_target(self.redirect_uri)] if self.redirect_uri else [],
            form=form,
            action=action,
            app_name=client.name,
            link=self.link,
            logo_url=logo_urls([client]).get(client.client_id, ""),
            website_host=pages.host_of(self.link.website),
            is_third_party=client.kind == ClientKind.THIRD_PARTY,
            already=sentences.allowed(self.held, user=self.user),
            asked=sentences.allowed(self.new, user=self.user, optional=self.link.optional_scopes),
            ticked=set(ticked),
            denied=sentences.denied([*self.held, *self.scopes]),
            lasts=span_of(settings.CONSENT_LIFETIME),
            is_device=bool(self.device),
            device=self.device,
            goes_to=pages.host_of(self.redirect_uri),
            privacy_policy=self.link.privacy_policy if pages.host_of(self.link.privacy_policy) else "",
        )


def logo_urls(clients: Iterable[Client]) -> dict[str, str]:
    """Return where the logos of *clients* are, by client id, of those that have one. One query, which reads none."""
    with_one = links().filter(client__in=clients, logo__isnull=False).values_list("client__client_id", flat=True)
    return {client_id: reverse("oauth2_provider:logo", args=[client_id]) for client_id in with_one}
