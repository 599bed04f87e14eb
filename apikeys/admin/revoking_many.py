"""The page that stops many keys for good: those chosen in the list, or all of a client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import keys, policy
from ..forms.change import is_in_use
from ..forms.revoke import REASONS, RevokeKeysForm
from ..models import APIKey, APIKeyQuerySet, Client
from ..status import absolute, grouped, last_used, revoked_message, takes_effect
from ..usage.recent import requests_of
from . import facts, pages
from .key_list import badge, owner_link, timed

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin

#: How many keys one page revokes.
MOST = 1000
_NAMED_CLIENTS = 5
#: Digits of a primary key that every database takes for a number.
_LONGEST_ID = 18


@dataclass(frozen=True, kw_only=True)
class Row:
    """One key that is to be revoked."""

    key: APIKey
    url: str
    status: SafeString
    owner: str | SafeString
    used: SafeString
    requests: str


def is_id(text: str) -> bool:
    """Whether *text* can be a primary key: forms are sent by anybody, with anything in them."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID


def chosen_page(admin: APIKeyAdmin, request: HttpRequest, chosen: APIKeyQuerySet, *, asked: int) -> HttpResponse | None:
    """
    Return the page about *chosen*; None with a message where there is nothing to show.

    *asked* is how many ids were sent, zero where it is all that the list has.
    """
    found = list(_most_used_first(chosen)[: MOST + 1])
    _tell_unknown(request, asked - len(found))
    if len(found) > MOST:
        messages.error(request, _too_many())
        return None
    open_keys = [key for key in found if not key.is_revoked()]
    if open_keys:
        form = RevokeKeysForm(open_keys=open_keys)
        return _form_page(admin, request, form, open_keys, left_out=len(found) - len(open_keys))
    messages.warning(request, _all_revoked(found) if found else _("No key was chosen."))
    return None


def revoke_many_page(admin: APIKeyAdmin, request: HttpRequest) -> HttpResponse:
    """Return the page about the keys of one client, or what comes of the page that was sent."""
    if not policy.may_revoke(request.user):
        raise PermissionDenied
    if request.method == "POST":
        return _answer(admin, request)
    client_id = request.GET.get("client", "")
    shown = pages.shown(request, admin.admin_site, Client)
    client = shown.filter(pk=client_id).first() if is_id(client_id) else None
    if client is None:
        messages.warning(request, _("Choose keys in the list, and then the action “Revoke…”."))
        return HttpResponseRedirect(pages.way_back(admin, request))
    found = list(_most_used_first(_visible(admin, request).working().filter(client=client))[: MOST + 1])
    if not found:
        messages.warning(request, _("“%(client)s” has no working key.") % {"client": client.name})
        return HttpResponseRedirect(pages.way_back(admin, request))
    reason = request.GET.get("reason", "")
    form = RevokeKeysForm(open_keys=found[:MOST], reason=reason if reason in REASONS else "")
    return _form_page(admin, request, form, found[:MOST], has_more=len(found) > MOST, client=client)


def _answer(admin: APIKeyAdmin, request: HttpRequest) -> HttpResponse:
    sent = set(request.POST.get("keys", "").split())
    ids = [text for text in sent if is_id(text)]
    if len(ids) > MOST:
        return _away(admin, request, _too_many())
    found = list(_most_used_first(_visible(admin, request).filter(pk__in=ids)))
    _tell_unknown(request, len(sent) - len(found))
    if not found:
        return _away(admin, request, _("No key was chosen."))
    return _revoked_or_shown_again(admin, request, found)


def _revoked_or_shown_again(admin: APIKeyAdmin, request: HttpRequest, found: Sequence[APIKey]) -> HttpResponse:
    unseen = _unseen_replacements(admin, request, found, known=set(request.POST.get("rotated", "").split()))
    open_keys = [key for key in (*found, *unseen) if not key.is_revoked()]
    if len(open_keys) > MOST:
        return _away(admin, request, _too_many())
    if not open_keys:
        return _nothing_to_revoke(admin, request, found)
    form = RevokeKeysForm(request.POST, open_keys=open_keys, unseen=unseen, shown=len(found))
    if form.is_valid():
        done = _revoke(request, found, form)
        if done.revoked:
            return _done(admin, request, done, given=found)
        return _nothing_to_revoke(admin, request, done.already_revoked)
    form.show_again()
    return _form_page(admin, request, form, open_keys, left_out=len(found) + len(unseen) - len(open_keys))


def _revoke(request: HttpRequest, found: Sequence[APIKey], form: RevokeKeysForm) -> keys.RevokedKeys:
    with transaction.atomic(using=router.db_for_write(APIKey)):
        done = keys.revoke_many(
            found,
            reason=form.cleaned_data["reason"],
            note=form.cleaned_data["note"],
            by=request.user,
            source="admin",
        )
        LogEntry.objects.log_actions(request.user.pk, done.revoked, CHANGE, _("Revoked."))  # type: ignore[arg-type]  # its stub wants a query set, and it only iterates
    return done


def _done(admin: APIKeyAdmin, request: HttpRequest, done: keys.RevokedKeys, *, given: Sequence[APIKey]) -> HttpResponse:
    count = len(done.revoked)
    text = ngettext(
        "%(count)d key is revoked. Requests with it now get 401.",
        "%(count)d keys are revoked. Requests with them now get 401.",
        count,
    )
    messages.success(request, revoked_message(text % {"count": count}))
    if more := len({key.pk for key in done.revoked} - {key.pk for key in given}):
        text = ngettext(
            "%(count)d of them was made at the same moment, as a replacement of another.",
            "%(count)d of them were made at the same moment, as replacements of others.",
            more,
        )
        messages.warning(request, text % {"count": more})
    if earlier := len(done.already_revoked):
        text = ngettext(
            "%(count)d key had been revoked meanwhile and stays as it was.",
            "%(count)d keys had been revoked meanwhile and stay as they were.",
            earlier,
        )
        messages.warning(request, text % {"count": earlier})
    return HttpResponseRedirect(pages.way_back(admin, request))


def _nothing_to_revoke(admin: APIKeyAdmin, request: HttpRequest, revoked: Sequence[APIKey]) -> HttpResponse:
    return pages.page(
        admin,
        request,
        "conflict.html",
        title=_("Nothing more was revoked"),
        status=409,
        text=_all_revoked(revoked),
        back_url=pages.way_back(admin, request),
    )


def _form_page(
    admin: APIKeyAdmin,
    request: HttpRequest,
    form: RevokeKeysForm,
    open_keys: Sequence[APIKey],
    *,
    left_out: int = 0,
    has_more: bool = False,
    client: Client | None = None,
) -> HttpResponse:
    now = timezone.now()
    count = len(open_keys)
    may_view = admin.has_view_permission(request)
    site = admin.admin_site.name
    requests = requests_of(open_keys, now=now) if facts.is_recorded() else None
    return pages.page(
        admin,
        request,
        "revoke_many.html",
        title=ngettext("Revoke %(count)d key?", "Revoke %(count)d keys?", count) % {"count": count},
        form=form,
        count=count,
        takes_effect=takes_effect(),
        used=sum(is_in_use(key, now=now) for key in open_keys),
        left_out=left_out,
        clients=_clients_of(open_keys),
        living=_living_replacements(open_keys),
        most=MOST,
        more_of=client if has_more else None,
        more_of_url=reverse(f"{site}:apikeys_client_change", args=[client.pk])
        if client is not None and has_more and request.user.has_perm("apikeys.change_client")
        else "",
        rows=[
            Row(
                key=key,
                url=pages.key_url(admin, key) if may_view else "",
                status=badge(key, now=now),
                owner=owner_link(key, user=request.user, site_name=site),
                used=timed(last_used(key, now=now), key.last_used_at),
                requests="–" if requests is None else grouped(requests.get(key.key_id, 0)),
            )
            for key in _by_use(open_keys, requests or {})
        ],
        send_to=pages.list_url(admin, "revoke_many"),
        back_url=pages.way_back(admin, request),
    )


def _by_use(open_keys: Sequence[APIKey], requests: Mapping[str, int]) -> list[APIKey]:
    """Return *open_keys*, the busiest first; of equals, those used last."""
    return sorted(open_keys, key=lambda key: -requests.get(key.key_id, 0))


def _clients_of(found: Iterable[APIKey]) -> str:
    counts = Counter(key.client.name for key in found).most_common()
    named = [f"{name} ({count})" for name, count in counts[:_NAMED_CLIENTS]]
    if more := len(counts) - len(named):
        named.append(ngettext("%(count)d other client", "%(count)d other clients", more) % {"count": more})
    return ", ".join(named)


def _living_replacements(open_keys: Sequence[APIKey]) -> int:
    """Return how many replacements of *open_keys* work on because they are not among them."""
    oldest: dict[str, int] = {}
    for key in open_keys:
        if key.overlap_ends_at is not None:
            oldest[key.family] = min(key.pk, oldest.get(key.family, key.pk))
    if not oldest:
        return 0
    # Of the whole family: one in between may have been stopped, and what replaced that one works on.
    others = APIKey.objects.working().filter(family__in=oldest).exclude(pk__in=[key.pk for key in open_keys])
    return sum(pk > oldest[family] for family, pk in others.order_by().values_list("family", "pk"))


def _unseen_replacements(
    admin: APIKeyAdmin, request: HttpRequest, found: Sequence[APIKey], *, known: set[str]
) -> list[APIKey]:
    """Return the working keys that came of rotations of *found* since the page was shown, and are not among them."""
    since = {key.family: key.pk for key in found if key.overlap_ends_at is not None and str(key.pk) not in known}
    if not since:
        return []
    related = _visible(admin, request).working().filter(family__in=since).exclude(pk__in=[key.pk for key in found])
    return [key for key in _most_used_first(related) if key.pk > since[key.family]]


def _visible(admin: APIKeyAdmin, request: HttpRequest) -> APIKeyQuerySet:
    return cast("APIKeyQuerySet", admin.get_queryset(request))


def _most_used_first(chosen: Any) -> Any:
    return chosen.order_by(F("last_used_at").desc(nulls_last=True), "-pk")


def _tell_unknown(request: HttpRequest, count: int) -> None:
    if count > 0:
        text = ngettext(
            "%(count)d of the chosen ids belongs to no key and was left out.",
            "%(count)d of the chosen ids belong to no key and were left out.",
            count,
        )
        messages.warning(request, text % {"count": count})


def _too_many() -> str:
    text = _(
        "At most %(most)d keys can be revoked at once. Nothing was revoked. Narrow the list with its filters, or "
        "disable the client, which stops all of its keys."
    )
    return text % {"most": MOST}


def _all_revoked(found: Iterable[APIKey]) -> str:
    instants = [key.revocation.at for key in found]
    text = ngettext(
        "%(count)d key was revoked already, on %(instant)s.",
        "All %(count)d keys were revoked already, the last of them on %(instant)s.",
        len(instants),
    )
    return text % {"count": len(instants), "instant": absolute(max(instants))}


def _away(admin: APIKeyAdmin, request: HttpRequest, text: str) -> HttpResponse:
    messages.error(request, text)
    return HttpResponseRedirect(pages.way_back(admin, request))
