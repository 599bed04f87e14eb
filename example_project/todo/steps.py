"""What a newcomer may try, and what of it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F
from django.utils.translation import gettext as _

from apikeys.models import APIKey, EventKind, KeyEvent

from . import story


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to try."""

    title: str
    how: str
    is_done: bool


def steps() -> list[Step]:
    """Return what to try, in order. What visitors did is read off their keys."""
    mine = APIKey.objects.filter(note=story.VISITOR_NOTE)
    used = mine.exclude(last_used_at=None)
    both_used = used.filter(replaces__last_used_at__gte=F("created_at"))
    refused = KeyEvent.objects.filter(
        kind=EventKind.USED_AFTER_END, key__note=story.VISITOR_NOTE, key__revocation__isnull=False
    )
    has_signed_in = story.user_of(story.GILFOYLE).last_login is not None
    return [
        Step(
            title=_("Call the API"),
            how=_("Get a key on this page and paste its two lines into a terminal."),
            is_done=used.exists(),
        ),
        Step(
            title=_("Rotate, and see both keys work"),
            how=_("In the admin, rotate your key. Then call the API with the old one and with the new one."),
            is_done=both_used.exists(),
        ),
        Step(
            title=_("Revoke, and see 401"),
            how=_("In the admin, revoke your key and call the API once more. It takes effect at once."),
            is_done=refused.exists(),
        ),
        Step(
            title=_("Find it all in the history"),
            how=_("In the admin, your key's page tells what happened to it, when, and by whom."),
            is_done=has_signed_in and mine.exists(),
        ),
    ]
