"""Columns, filters and search of the list of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import APIKey, APIKeyQuerySet, user_name_of
from ..status import CODES, IDLE_AFTER, SOON, absolute, label_of, last_used, permission_summary, rows_with, status_of
from ..usage.recent import days_of
from . import facts
from .bars import small_chart

#: How many days the bars in the list stand for.
_DAYS = 14
#: The value of the status filter that stands for all keys that are neither revoked nor over.
WORKING = "working"


class KeyList(ChangeList):
    """One page of the list. The use of all its keys is asked for at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for column in self.list_display:
            columns = getattr(column, "__self__", None)
            if isinstance(columns, Columns):
                columns.count_use(self.result_list)
                return


class Columns:
    """The cells of the list as one person may see them: what they may not open is no link."""

    def __init__(self, request: HttpRequest, *, site_name: str) -> None:
        self.user: Any = request.user
        self.site_name = site_name
        self.now = timezone.now()
        self._days: Mapping[str, Sequence[int]] = {}

    def count_use(self, keys: Iterable[APIKey]) -> None:
        """Ask how *keys* were used, all at once, before their cells are asked for."""
        self._days = days_of(keys, days=_DAYS, now=self.now)

    def all(self) -> list[Callable[[APIKey], str]]:
        """Return the columns in their order."""
        return [self.key, self.status, self.client, self.permissions, self.used, self.issued]

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

    @admin.display(description=gettext_lazy("Used, 14 days"), ordering="last_used_at")
    def used(self, key: APIKey) -> SafeString:
        when = timed(last_used(key, now=self.now), key.last_used_at)
        days = self._days.get(key.key_id, ())
        if any(days):
            return _two_lines(small_chart(days), when)
        # No query: what this page found of its keys must do as proof where the usual middleware is missing.
        if key.last_used_at is None or self._days or facts.counts_requests():
            return when
        return _two_lines(_("usage not recorded"), when)

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
        return [*((code, label_of(code)) for code in CODES), (WORKING, _("Any that is not over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> QuerySet[APIKey]:
        value = self.value()
        if value == WORKING:
            return cast("APIKeyQuerySet", queryset).working()
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
