"""Columns, filters and search of the list of keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import APIKey, user_name_of
from ..status import CODES, IDLE_AFTER, SOON, absolute, label_of, last_used, permission_summary, rows_with, status_of


class Columns:
    """The cells of the list as one person may see them: what they may not open is no link."""

    def __init__(self, request: HttpRequest, *, site_name: str) -> None:
        self.user: Any = request.user
        self.site_name = site_name
        self.now = timezone.now()

    def all(self) -> list[Callable[[APIKey], str]]:
        """Return the columns in their order."""
        return [self.key, self.status, self.client, self.permissions, self.last_used, self.issued]

    @admin.display(description=gettext_lazy("Key"), ordering="name")
    def key(self, key: APIKey) -> SafeString:
        return _two_lines(
            self._link("apikeys_apikey_change", key, text=key.name), format_html("<code>{}</code>", key.masked)
        )

    @admin.display(description=gettext_lazy("Status"), ordering="expires_at")
    def status(self, key: APIKey) -> SafeString:
        status = status_of(key, now=self.now)
        return _two_lines(badge(key, now=self.now), timed(status.detail, status.at))

    @admin.display(description=gettext_lazy("Client"), ordering="client__name")
    def client(self, key: APIKey) -> SafeString:
        client: str | SafeString = key.client.name
        if may_open_clients(self.user):
            client = self._link("apikeys_client_change", key.client, text=client)
        return _two_lines(client, owner_link(key, user=self.user, site_name=self.site_name))

    @admin.display(description=gettext_lazy("Permissions"))
    def permissions(self, key: APIKey) -> str:
        return permission_summary(key.scopes)

    @admin.display(description=gettext_lazy("Last used"), ordering="last_used_at")
    def last_used(self, key: APIKey) -> SafeString:
        return timed(last_used(key, now=self.now), key.last_used_at)

    @admin.display(description=gettext_lazy("Issued"), ordering="created_at")
    def issued(self, key: APIKey) -> SafeString:
        day = formats.date_format(timezone.localtime(key.created_at), "j M Y")
        return _two_lines(timed(day, key.created_at), user_name_of(key.created_by))

    def _link(self, page: str, row: Any, *, text: str) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse(f"{self.site_name}:{page}", args=[row.pk]), text)


def badge(key: APIKey, *, now: datetime) -> SafeString:
    """Return the status of *key* as symbol and word."""
    status = status_of(key, now=now)
    return format_html(
        '<span class="apikeys-badge apikeys-{}"><span aria-hidden="true">{}</span> {}</span>',
        status.code,
        status.symbol,
        status.label,
    )


def timed(text: str, instant: datetime | None) -> SafeString:
    """Return *text* as the time that it tells of."""
    if instant is None:
        return format_html("{}", text)
    return format_html('<time datetime="{}" title="{}">{}</time>', instant.isoformat(), absolute(instant), text)


def may_open_clients(user: Any) -> bool:
    """Whether *user* may follow a link to a client's page."""
    return bool(user.has_perm("apikeys.view_client") or user.has_perm("apikeys.change_client"))


def owner_link(key: APIKey, *, user: Any, site_name: str) -> str | SafeString:
    """Return whom *key* acts for, as a link where *user* may follow it."""
    if key.owner is None:
        return _("owner is gone") if key.acts_for_user else _("no person (service key)")
    options = get_user_model()._meta
    label = options.app_label
    if user.has_perm(f"{label}.view_{options.model_name}") or user.has_perm(f"{label}.change_{options.model_name}"):
        try:
            url = reverse(f"{site_name}:{label}_{options.model_name}_change", args=[key.owner.pk])
        except NoReverseMatch:
            # The project does not manage its people in this admin.
            return user_name_of(key.owner)
        return format_html('<a href="{}">{}</a>', url, user_name_of(key.owner))
    return user_name_of(key.owner)


def matching(text: str) -> Q:
    """Return the condition for *text*: the start of a name or of a key id, or a whole user name."""
    users = get_user_model()
    # A key id may stand in its masked form, as lists show it.
    key_id = text.rpartition("_")[2].rstrip("…")
    condition = Q(name__istartswith=text) | Q(**{f"owner__{users.USERNAME_FIELD}": text})
    return condition | Q(key_id__startswith=key_id) if key_id else condition


class StatusFilter(admin.SimpleListFilter):
    """Keys by their status."""

    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, label_of(code)) for code in CODES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> QuerySet[APIKey]:
        value = self.value()
        return queryset.filter(rows_with(value, now=timezone.now())) if value in CODES else queryset


class ExpiresFilter(admin.SimpleListFilter):
    """Keys by when they end."""

    title = gettext_lazy("expires")
    parameter_name = "expires"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("week", _("In the next 7 days")),
            ("month", _("In the next 30 days")),
            ("never", _("No expiry")),
            ("past", _("Past")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> QuerySet[APIKey]:
        now = timezone.now()
        conditions = {
            "week": Q(expires_at__gt=now, expires_at__lte=now + SOON),
            "month": Q(expires_at__gt=now, expires_at__lte=now + timedelta(days=30)),
            "never": Q(expires_at=None),
            "past": Q(expires_at__lte=now),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class LastUsedFilter(admin.SimpleListFilter):
    """Keys by when they were last used."""

    title = gettext_lazy("last used")
    parameter_name = "last_used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("never", _("Never")), ("idle", _("More than 90 days ago")), ("week", _("In the last 7 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> QuerySet[APIKey]:
        now = timezone.now()
        conditions = {
            "never": Q(last_used_at=None),
            "idle": Q(last_used_at__lte=now - IDLE_AFTER),
            "week": Q(last_used_at__gt=now - timedelta(days=7)),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


def _two_lines(first: str, second: str) -> SafeString:
    return format_html('{} <span class="apikeys-second">{}</span>', first, second)
