"""The page that tells whose a key is that somebody found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from .. import keys, policy, usage
from ..conf import settings
from ..core.keyformat import MODES
from ..forms.identify import IdentifyForm
from ..limits import attempts
from ..models import APIKey, LastUse, Level, RevocationReason, UsageCount
from ..policy import long_date
from ..registry import declared
from ..status import relative, status_of
from . import facts, pages
from .key_list import badge, owner_link, timed

if TYPE_CHECKING:
    from ..keys import IdentifiedKey
    from .key_admin import APIKeyAdmin

#: Of one person in a minute, found or not.
LOOKUPS_PER_MINUTE = 30


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the page says of one key. Without a row, *problem* says why there is none."""

    masked: str
    problem: str = ""
    key: APIKey | None = None
    url: str = ""
    status: SafeString | str = ""
    status_detail: SafeString | str = ""
    owner: SafeString | str = ""
    permissions: Sequence[Any] = ()
    first_used: str = ""
    last_used: SafeString | str = ""
    address: str = ""
    revoke_url: str = ""


@sensitive_variables()
def identify_page(admin: APIKeyAdmin, request: HttpRequest) -> HttpResponse:
    """Return the form, and under it what was found. Nothing that was pasted is in it."""
    if not policy.may_view(request.user):
        raise PermissionDenied
    form = IdentifyForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        if form.is_bound:
            form.show_again()
        return _page(admin, request, form)
    if attempts.count(f"apikeys-identify:{request.user.pk}") > LOOKUPS_PER_MINUTE:
        text = ngettext(
            "You may look up %(count)d text a minute. Wait a minute, then try again.",
            "You may look up %(count)d texts a minute. Wait a minute, then try again.",
            LOOKUPS_PER_MINUTE,
        )
        form.add_error(None, text % {"count": LOOKUPS_PER_MINUTE})
        form.show_again()
        response = _page(admin, request, form, status=429)
        response["Retry-After"] = str(attempts.MINUTE_SECONDS)
        return response
    found = keys.identify(form.cleaned_data["text"], by=request.user, source="admin")
    return _page(
        admin,
        request,
        # A new one: what was pasted goes no further.
        IdentifyForm(),
        has_looked=True,
        answers=_answers(admin, request, found.keys),
        starts=_(" or ").join(f"{settings.PREFIX}_{mode}_" for mode in MODES),
        left_out=found.left_out,
        most=len(found.keys),
    )


def _page(
    admin: APIKeyAdmin, request: HttpRequest, form: IdentifyForm, *, status: int = 200, **found: Any
) -> HttpResponse:
    title = _("Identify a key")
    return pages.page(admin, request, "identify.html", title=title, status=status, form=form, **found)


def _answers(admin: APIKeyAdmin, request: HttpRequest, found: Sequence[IdentifiedKey]) -> list[Answer]:
    rows = [each.key for each in found if each.key is not None]
    if rows:
        # A project may show each person some of the keys only.
        shown = admin.get_queryset(request).using(rows[0]._state.db).filter(pk__in=[key.pk for key in rows])
        seen = set(shown.values_list("pk", flat=True))
        rows = [key for key in rows if key.pk in seen]
    last_uses = usage.last_uses([key.key_id for key in rows])
    first_uses = _first_uses(rows)
    return [
        _problem(each)
        if each.key is None or each.key not in rows
        else _answer(
            admin,
            request,
            each.key,
            last=last_uses.get(each.key.key_id),
            first_used=first_uses.get(each.key.key_id, ""),
        )
        for each in found
    ]


def _problem(found: IdentifiedKey) -> Answer:
    if found.is_genuine:
        return Answer(masked=found.masked, problem=_("No key of this site."))
    text = _("The tag is wrong: a letter is missing or changed, or it was not issued here.")
    return Answer(masked=found.masked, problem=text)


def _answer(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, *, last: LastUse | None, first_used: str) -> Answer:
    now = timezone.now()
    status = status_of(key, now=now)
    used_at = facts.later(key.last_used_at, last)
    may_revoke = policy.may_revoke(request.user) and not key.is_revoked()
    return Answer(
        masked=key.masked,
        key=key,
        url=pages.key_url(admin, key),
        status=badge(key, now=now),
        status_detail=timed(status.detail, status.at),
        owner=owner_link(key, user=request.user, site_name=admin.admin_site.name),
        permissions=declared(key.scopes),
        first_used=first_used,
        last_used=timed(relative(used_at, now=now), used_at) if used_at else _("never used"),
        address="" if last is None else str(last.address or ""),
        revoke_url=f"{pages.key_url(admin, key, 'revoke')}?{urlencode({'reason': RevocationReason.LEAKED.value})}"
        if may_revoke
        else "",
    )


def _first_uses(found: Sequence[APIKey]) -> dict[str, str]:
    """Return the day of the first use of those that were used, as far back as usage is kept. One query."""
    if not found:
        return {}
    counts = UsageCount.objects.filter(
        level=Level.REQUEST, family__in={key.family for key in found}, key_id__in=[key.key_id for key in found]
    )
    first = counts.order_by().values_list("key_id").annotate(Min("bucket"))
    # The bucket is an hour or a day, and days are the project's, whatever the reader's time zone.
    with timezone.override(timezone.get_default_timezone()):
        return {key_id: long_date(bucket) for key_id, bucket in first}
