"""What the list of clients says of their keys: how many work, and when one was last used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.admin.sites import AdminSite
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Max, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import policy
from ..models import APIKey, APIKeyQuerySet, Client
from ..status import grouped, when_used
from . import pages
from .key_list import WORKING, timed

#: With more keys than these on one page, those clients are left out that have more than the second.
_MANY_KEYS = 100_000
_MOST_COUNTED = 2_000
#: Where a row of the list holds its cells.
_CELLS = "_apikeys_cells"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What one row says of keys."""

    working: str | SafeString
    last_used: str | SafeString


class ClientList(ChangeList):
    """One page of the list. The keys of all its clients are asked for at once, and of no others."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        fill_cells(self.result_list, request=request, admin_site=self.model_admin.admin_site)


def fill_cells(rows: Collection[Client], *, request: HttpRequest, admin_site: AdminSite) -> None:
    """Ask for the keys of *rows*, with as many queries for all as for one, before ``cells_of`` is asked for them."""
    now = timezone.now()
    # As many as the list shows that the numbers lead to.
    keys = cast("APIKeyQuerySet", pages.shown(request, admin_site, APIKey)).order_by()
    counted = _countable({client.pk for client in rows}, keys=keys)
    theirs = keys.filter(client__in=counted)
    working = dict(theirs.working(now=now).values_list("client").annotate(Count("pk")))
    last_used = dict(theirs.values_list("client").annotate(Max("last_used_at")))
    list_url = reverse(f"{admin_site.name}:apikeys_apikey_changelist") if policy.may_view(request.user) else ""
    for client in rows:
        text, used = _("not counted"), "–"
        if client.pk in counted:
            used_at = last_used.get(client.pk)
            text, used = grouped(working.get(client.pk, 0)), timed(when_used(used_at, now=now), used_at)
        # Nothing leads to no key: the list of keys ignores a client without any where one client alone has some.
        if list_url and (client.pk in working or client.pk not in counted):
            text = pages.link(f"{list_url}?{urlencode({'client__id__exact': client.pk, 'status': WORKING})}", text)
        setattr(client, _CELLS, Cells(working=text, last_used=used))


def cells_of(client: Client) -> Cells:
    """Return what the row of *client* says; nothing outside of a ``ClientList``."""
    found: Cells = getattr(client, _CELLS, Cells(working="–", last_used="–"))
    return found


def _countable(pks: Collection[Any], *, keys: APIKeyQuerySet) -> Collection[Any]:
    """Return those of the clients *pks* whose keys can all be read while somebody waits."""
    if keys.filter(client__in=pks)[: _MANY_KEYS + 1].count() <= _MANY_KEYS:
        return pks
    # By name, so that an index holds all of it: otherwise PostgreSQL reads the table for each of them.
    one_more = keys.filter(client=OuterRef("pk")).order_by("name").values("name")[_MOST_COUNTED : _MOST_COUNTED + 1]
    few = Client.objects.filter(pk__in=pks).annotate(one_more=Subquery(one_more)).filter(one_more=None)
    return set(few.values_list("pk", flat=True))
