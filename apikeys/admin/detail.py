"""The page of one key: facts, limits, how it is used, history, and the chain of its rotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import policy
from ..conf import settings
from ..core.claims import counting
from ..drf import reach
from ..models import APIKey, EventKind, KeyEvent, RevocationReason, user_name_of
from ..registry import declared_claims, scope_registry
from ..status import absolute, relative, status_of
from . import facts, pages, usage_page, use_section
from .history import sentence, who
from .key_list import may_open_clients, owner_link
from .rotating import reissue_url
from .shown_claims import claims_of_key
from .shown_limits import limits_of_key

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin

_EVENTS = 20
#: A site with more endpoints has them all on the page of permissions.
_MOST_ENDPOINTS = 50


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One permission of the key, which may be declared no more."""

    name: str
    text: str
    is_sensitive: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One event."""

    at: datetime
    when: str
    who: str
    what: str
    details: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """One key of the rotation chain."""

    key: APIKey
    url: str
    label: str
    detail: str
    is_this: bool


def detail_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the page about *key*."""
    now = timezone.now()
    status = status_of(key, now=now)
    chain = list(
        APIKey.objects.filter(family=key.family)
        .select_related("client", "owner", "revocation")
        .order_by("created_at", "pk")
    )
    replacement = next((other for other in chain if other.replaces_id == key.pk), None)
    is_working = key.is_working(now=now)
    may_rotate = is_working and replacement is None and policy.may_rotate(request.user, key)
    use = facts.of_use(key, now=now)
    endpoints = _endpoints(key) if is_working else []
    events = list(KeyEvent.objects.filter(key=key)[: _EVENTS + 1])
    site = admin.admin_site.name
    return pages.page(
        admin,
        request,
        "detail.html",
        title=str(key),
        key=key,
        key_status=status,
        client_url=_client_url(site, key) if may_open_clients(request.user) else "",
        owner=owner_link(key, user=request.user, site_name=site),
        issued_by=user_name_of(key.created_by),
        permissions=_permissions(key.scopes),
        is_working=is_working,
        endpoints=endpoints[:_MOST_ENDPOINTS],
        endpoints_left_out=len(endpoints[_MOST_ENDPOINTS:]),
        issued=absolute(key.created_at),
        expires=key.expires_at and absolute(key.expires_at),
        expires_when=key.expires_at and relative(key.expires_at, now=now),
        last_use=use,
        last_used=use.last_used,
        last_used_at=use.last_at and absolute(use.last_at),
        limits=limits_of_key(key),
        claims=claims_of_key(key),
        # Where there is no authority for others to ask, nobody else could know of a key.
        shows_servers=bool(key.client.audiences or settings.ISSUER),
        use=use_section.of_key(key, now=now),
        usage_url=usage_page.url_of(request, site, key=key),
        is_expired=status.code == "expired",
        is_rotating=status.code == "rotating",
        replacement=replacement,
        replacement_url=replacement and pages.key_url(admin, replacement),
        stops_detail=status.detail,
        stops_when=key.overlap_ends_at and relative(key.overlap_ends_at, now=now),
        stops_at=key.overlap_ends_at and absolute(key.overlap_ends_at),
        revoked_at=absolute(key.revocation.at) if key.is_revoked() else "",
        revoked_by=user_name_of(key.revocation.by) if key.is_revoked() else "",
        has_leaked=_has_leaked(key),
        disable_client_url=_client_url(site, key) if _may_disable_client(request, key) else "",
        revoke_all_url=pages.revoke_all_url(site, request.user, key.client, reason=RevocationReason.LEAKED.value)
        if _has_leaked(key)
        else "",
        rotate_url=pages.key_url(admin, key, "rotate") if may_rotate else "",
        revoke_url=pages.key_url(admin, key, "revoke")
        if policy.may_revoke(request.user) and not key.is_revoked()
        else "",
        edit_url=pages.key_url(admin, key, "edit") if policy.may_edit(request.user) else "",
        narrow_url=pages.key_url(admin, key, "narrow")
        if policy.may_edit(request.user) and is_working and len(key.scopes) > 1
        else "",
        limits_url=pages.key_url(admin, key, "limits") if policy.may_edit(request.user) and is_working else "",
        claims_url=pages.key_url(admin, key, "claims")
        if is_working and declared_claims() and policy.may_set_claims(request.user)
        else "",
        reissue_url=reissue_url(admin, request, key) if not is_working else "",
        events=[*(_line(event) for event in events[:_EVENTS]), *_origin(key)],
        events_url=_events_url(site, key) if len(events) > _EVENTS and _may_view_events(request) else "",
        chain=[_link(admin, other, key=key, now=now) for other in chain] if len(chain) > 1 else [],
    )


def _permissions(names: Sequence[str]) -> list[Permission]:
    registry = scope_registry()
    return [
        Permission(name=name, text=str(registry[name].text), is_sensitive=registry[name].sensitive)
        if name in registry
        else Permission(name=name, text=_("This permission is declared no more, so it opens nothing."))
        for name in names
    ]


def _endpoints(key: APIKey) -> list[reach.Operation]:
    ceiling = set(key.client.allowed_scopes)
    return reach.opened_by_key(
        [name for name in key.scopes if name in ceiling],
        claims=counting(declared_claims(), key.client.claims, key.claims),
        acts_for_user=key.acts_for_user,
    )


def _line(event: KeyEvent) -> Line:
    return Line(
        at=event.at, when=absolute(event.at), who=who(event), what=event.get_kind_display(), details=sentence(event)
    )


def _origin(key: APIKey) -> list[Line]:
    """Return how *key* came to be, if it replaced another: that event stands on the one it replaced."""
    if key.family == key.key_id:
        return []
    # By family: a replacement that could not be shown is linked to nothing any more.
    rotated = (
        KeyEvent.objects.filter(kind=EventKind.ROTATED, key__family=key.family, details__replacement=key.key_id)
        .select_related("key")
        .first()
    )
    if rotated is None or rotated.key is None:
        return []
    details = _("As the replacement of %(key)s") % {"key": rotated.key.masked}
    return [
        Line(
            at=rotated.at,
            when=absolute(rotated.at),
            who=who(rotated),
            what=str(EventKind.ISSUED.label),
            details=details,
        )
    ]


def _link(admin: APIKeyAdmin, other: APIKey, *, key: APIKey, now: datetime) -> Link:
    status = status_of(other, now=now)
    return Link(
        key=other,
        url=pages.key_url(admin, other),
        label=f"{status.symbol} {status.label}",
        detail=status.detail,
        is_this=other.pk == key.pk,
    )


def _client_url(site: str, key: APIKey) -> str:
    return reverse(f"{site}:apikeys_client_change", args=[key.client_id])


def _has_leaked(key: APIKey) -> bool:
    # Where one key of a client leaked, others may have.
    return key.is_revoked() and key.revocation.reason == RevocationReason.LEAKED


def _may_disable_client(request: HttpRequest, key: APIKey) -> bool:
    return _has_leaked(key) and key.client.is_active and request.user.has_perm("apikeys.change_client")


def _may_view_events(request: HttpRequest) -> bool:
    return request.user.has_perm("apikeys.view_keyevent")


def _events_url(site: str, key: APIKey) -> str:
    return f"{reverse(f'{site}:apikeys_keyevent_changelist')}?{urlencode({'key__id__exact': key.pk})}"
