"""The page that says how all keys are used, or one key, or the keys of one client. Drawn on the server, no script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import policy, usage
from ..models import APIKey, APIKeyQuerySet, Client, Grain, Level, UsageCount
from ..page_headers import protect
from ..status import SOON, absolute, grouped
from ..usage.overview import Overview, overview
from ..usage.unused import unneeded_besides
from . import facts, pages
from .bars import chart
from .key_list import WORKING, may_open_clients
from .rankings import Shown, rankings_of
from .usage_subject import DEFAULT, PERIODS, Subject
from .use_section import Share, label_of

#: A roll-up that stands still for so long was not scheduled, or fails.
_STALE_AFTER = timedelta(hours=6)
#: With more keys than these, only the numbers are told that an index has, and none above the second.
_MANY_KEYS = 100_000
_MOST_COUNTED = 10_000
#: Public ids, of keys and of clients. Nothing else is looked for.
_ID = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Link:
    """The way to another period."""

    label: str
    url: str
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One number, and where to look at what it counts."""

    label: str
    number: str
    url: str


class UsageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the type checker alone
    """Usage: to look at, never to write. The right is ``view_usagecount``."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UsageCount | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UsageCount | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: UsageCount | None = None) -> bool:
        # A count has no page of its own.
        return obj is None and _may_view(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not _may_view(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        subject = _subject(self, request)
        if subject is None:
            messages.warning(request, _("There is no such key or client. This is the use of all keys."))
            return HttpResponseRedirect(request.path)
        return _page(self, request, subject)


def url_of(request: HttpRequest, site_name: str, *, key: APIKey | None = None, client: Client | None = None) -> str:
    """Return the address of the page about *key* or *client*; empty for those who may not see it."""
    if not _may_view(request):
        return ""
    query = Subject(key=key, client=client).query
    return f"{reverse(f'{site_name}:apikeys_usagecount_changelist')}?{urlencode(query)}"


def _may_view(request: HttpRequest) -> bool:
    return request.user.has_perm("apikeys.view_usagecount")


def _subject(model_admin: UsageAdmin, request: HttpRequest) -> Subject | None:
    """Return what the page is asked to be about; None if there is no such thing."""
    key_id, client_id = request.GET.get("key", ""), request.GET.get("client", "")
    if key_id:
        keys = pages.shown(request, model_admin.admin_site, APIKey).select_related("client")
        key = keys.filter(key_id=key_id).first() if _ID.fullmatch(key_id) else None
        return None if key is None else Subject(key=key, title=_("Usage of “%(name)s”") % {"name": key.name})
    if client_id:
        clients = pages.shown(request, model_admin.admin_site, Client)
        found = clients.filter(client_id=client_id).first() if _ID.fullmatch(client_id) else None
        return None if found is None else Subject(client=found, title=_("Usage by “%(name)s”") % {"name": found.name})
    return Subject(title=_("Usage"))


def _page(model_admin: UsageAdmin, request: HttpRequest, subject: Subject) -> HttpResponse:
    now = timezone.now()
    site = model_admin.admin_site.name
    period = PERIODS.get(request.GET.get("period", ""), PERIODS[DEFAULT])
    since = period.since(now=now)
    is_of_all = not subject.filters
    if is_of_all:
        sums = overview(since=since, until=now, by=period.by)
    else:
        sums = Overview(
            totals=usage.totals(since=since, until=now, **subject.filters),
            points=usage.series(since=since, until=now, by=period.by, **subject.filters),
            needed={},
        )
    totals = sums.totals
    drawn = chart(sums.points, by=period.by, period=period.label) if totals.requests else None
    counted_until = (sums.counted_until or usage.counted_until()) if is_of_all else None
    keys = _key_counts(model_admin, request, now=now) if is_of_all else None
    shown = Shown(
        clients=pages.shown(request, model_admin.admin_site, Client),
        keys=pages.shown(request, model_admin.admin_site, APIKey),
    )
    unneeded = unneeded_besides(sums.needed, since=since) if is_of_all and drawn else None
    request.current_app = site
    response = TemplateResponse(
        request,
        "admin/apikeys/usagecount/page.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": subject.title,
            "subject": subject,
            "subject_url": _subject_url(request, site, subject),
            "usage_url": request.path,
            "periods": [
                Link(
                    label=each.name,
                    url=f"?{urlencode({**subject.query, 'period': each.code})}",
                    is_current=each is period,
                )
                for each in PERIODS.values()
            ],
            "period": period,
            "chart": drawn,
            "by_hour": period.by == "hour",
            "tiles": [*_shares(totals), *(keys.tiles() if keys else ())],
            "to_do": keys.to_do() if keys else [],
            "rankings": rankings_of(subject, totals, period=period, now=now, shown=shown) if drawn else [],
            # None where nobody can tell.
            "unneeded": unneeded if unneeded is None else [label_of(name) for name in unneeded],
            "first_url": _issue_url(request, site),
            "counted_until": counted_until and absolute(counted_until),
            "counted_at": counted_until,
            "is_stale": is_of_all and _is_stale(counted_until, now=now),
            "is_recorded": drawn is not None or facts.is_recorded(),
        },
    )
    protect(response)
    return response


def _is_stale(counted_until: datetime | None, *, now: datetime) -> bool:
    """Whether there is something that the roll-up should have summed by now."""
    if counted_until is not None and counted_until > now - _STALE_AFTER:
        return False
    waiting = UsageCount.objects.filter(
        level__in=(Level.REQUEST, Level.REFUSAL), grain=Grain.RAW, bucket__lt=now - _STALE_AFTER
    )
    return waiting.exists()


@dataclass(frozen=True, kw_only=True)
class KeyCounts:
    """How many working keys there are to look after, and the address of the list that shows them."""

    list_url: str
    expiring: int
    endless: int
    #: None where there are too many keys to count.
    working: int | None = None
    unused: int | None = None
    #: How far was counted; None for to the end.
    most: int | None = None

    def shown(self, count: int) -> str:
        """Return *count* as people write it: "1,204", "10,000+"."""
        return grouped(count) if self.most is None or count <= self.most else f"{grouped(self.most)}+"

    def url(self, **query: str) -> str:
        """Return the address of the list of those working keys that match *query*."""
        return f"{self.list_url}?{urlencode({'status': WORKING, **query})}"

    def tiles(self) -> list[Tile]:
        """Return one for each number."""
        found: list[tuple[str, int | None, dict[str, str]]] = [
            (_("Working keys"), self.working, {}),
            (_("Expire in 7 days"), self.expiring, {"expires": "week"}),
            (_("Never used"), self.unused, {"last_used": "never"}),
            (_("Without expiry"), self.endless, {"expires": "never"}),
        ]
        return [
            Tile(label=label, number=self.shown(count), url=self.url(**query))
            for label, count, query in found
            if count is not None
        ]

    def to_do(self) -> list[Tile]:
        """Return what somebody should look at."""
        found = []
        if self.expiring:
            text = ngettext("%(count)s key expires this week", "%(count)s keys expire this week", self.expiring)
            found.append((text, self.expiring, {"expires": "week"}))
        if self.endless:
            text = ngettext("%(count)s key has no expiry", "%(count)s keys have no expiry", self.endless)
            found.append((text, self.endless, {"expires": "never"}))
        return [
            Tile(label=text % {"count": self.shown(count)}, number=self.shown(count), url=self.url(**query))
            for text, count, query in found
        ]


def _key_counts(model_admin: UsageAdmin, request: HttpRequest, *, now: datetime) -> KeyCounts | None:
    """Return the counts; None for those who may not see the keys."""
    if not policy.may_view(request.user):
        return None
    list_url = reverse(f"{model_admin.admin_site.name}:apikeys_apikey_changelist")
    # As many as the lists show that the tiles lead to.
    keys = cast("APIKeyQuerySet", pages.shown(request, model_admin.admin_site, APIKey))
    working = keys.working(now=now)
    expiring, endless = Q(expires_at__lte=now + SOON), Q(expires_at=None)
    if keys.order_by()[: _MANY_KEYS + 1].count() <= _MANY_KEYS:
        counts = working.aggregate(
            working=Count("pk"),
            expiring=Count("pk", filter=expiring),
            unused=Count("pk", filter=Q(last_used_at=None)),
            endless=Count("pk", filter=endless),
        )
        return KeyCounts(list_url=list_url, **counts)
    # To read all keys would take seconds. These two are in an index, as no end of theirs is recorded yet.
    open_keys = working.filter(end_recorded_at=None).order_by()
    return KeyCounts(
        list_url=list_url,
        most=_MOST_COUNTED,
        expiring=open_keys.filter(expiring)[: _MOST_COUNTED + 1].count(),
        endless=open_keys.filter(endless)[: _MOST_COUNTED + 1].count(),
    )


def _shares(totals: usage.Totals) -> list[Tile]:
    denied = Share(count=totals.denied, of=totals.requests)
    return [
        Tile(label=_("Requests"), number=grouped(totals.requests), url="#chart"),
        Tile(label=_("Denied"), number=denied.percent, url="#reasons" if totals.denied else "#chart"),
    ]


def _issue_url(request: HttpRequest, site: str) -> str:
    """Return where somebody gets a key and is shown how to make the first request with it; empty if nobody may."""
    return reverse(f"{site}:apikeys_apikey_add") if policy.may_issue_any(request.user) else ""


def _subject_url(request: HttpRequest, site: str, subject: Subject) -> str:
    """Return the address of the page of the key or client itself; empty where it may not be opened."""
    if subject.key is not None and policy.may_view(request.user):
        return reverse(f"{site}:apikeys_apikey_change", args=[quote(subject.key.pk)])
    if subject.client is not None and may_open_clients(request.user):
        return reverse(f"{site}:apikeys_client_change", args=[quote(subject.client.pk)])
    return ""
