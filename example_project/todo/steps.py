"""What a newcomer may try, and what of it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F
from django.utils.translation import gettext as _

from apikeys.models import LAST_USED_ACCURACY, APIKey, EventKind, KeyEvent
from apikeys.status import takes_effect

from . import programs, story


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to try."""

    title: str
    how: str
    is_done: bool
    #: Where to go for it; empty where the text says so.
    href: str = ""


def steps() -> list[Step]:
    """Return what to try, in order. What visitors did is read off their keys."""
    mine = APIKey.objects.filter(note=story.VISITOR_NOTE)
    used = mine.exclude(last_used_at=None)
    # The last use is written once a minute at most: one that came after the rotation may be on record as before it.
    both_used = used.filter(replaces__last_used_at__gte=F("created_at") - LAST_USED_ACCURACY)
    events = KeyEvent.objects.filter(key__note=story.VISITOR_NOTE)
    refused = events.filter(kind=EventKind.USED_AFTER_END, key__revocation__isnull=False)
    # Who revokes in the admin is led to the key's page, which has the history.
    seen = events.filter(kind=EventKind.REVOKED, source="admin")
    # The one consent that is seeded was given by no page.
    consents = KeyEvent.objects.filter(kind=EventKind.CONSENT_GIVEN, source="page")
    connected = consents.filter(client__name=story.SUMMARISER.name)
    return [
        Step(
            title=_("Call the API"),
            how=_("Get a key on this page and paste its two lines into a terminal."),
            is_done=used.exists(),
        ),
        Step(
            title=_("Rotate, and see both keys work"),
            how=_(
                "In the admin, rotate the key from this page or from the terminal. Call the API with it and with the "
                "new one: until the overlap ends, both work."
            ),
            is_done=both_used.exists(),
        ),
        Step(
            title=_("Revoke, and see 401"),
            how=_(
                "In the admin, revoke the key from this page or from the terminal, and call the API with it once more."
            )
            + f" {takes_effect()}",
            is_done=refused.exists(),
        ),
        Step(
            title=_("Connect the Summariser, and read the consent page"),
            how=_(
                "Open it as Richard. The page says what Hooli will see, and what not. Take it back in “Connected apps”."
            ),
            is_done=connected.exists(),
            href=programs.addresses()[programs.HOOLI.name],
        ),
        Step(
            title=_("Find it all in the history"),
            how=_("Revoking in the admin leads to the key's page, which tells what happened to it, when, and by whom."),
            is_done=seen.exists(),
        ),
    ]
