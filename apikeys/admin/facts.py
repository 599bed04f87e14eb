"""How a key is used now, in the sentences that help to decide whether it may stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import usage
from ..models import APIKey, LastUse
from ..status import grouped, when_used
from ..usage.recent import requests_of

#: What counts requests; a project may have its own subclass, which is known by what it recorded.
_MIDDLEWARE = "apikeys.middleware.UsageMiddleware"
#: A key that nobody used for so long is probably not in use any more.
_QUIET_AFTER = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Use:
    """When a key was last used, and how often in the last 24 hours."""

    now: datetime
    #: None for never.
    last_at: datetime | None
    #: From where and for what, where that is recorded.
    last: LastUse | None
    #: None where no usage is recorded.
    requests: int | None

    @property
    def last_used(self) -> str:
        """As lists say it: "12 minutes ago", "never used"."""
        return when_used(self.last_at, now=self.now)

    @property
    def is_quiet(self) -> bool:
        """Whether it was used, and not for hours."""
        return self.last_at is not None and self.last_at <= self.now - _QUIET_AFTER

    @property
    def requests_sentence(self) -> str:
        """How much it is used; empty where that is not recorded."""
        if self.requests is None:
            return ""
        text = ngettext(
            "%(count)s request in the last 24 hours.", "%(count)s requests in the last 24 hours.", self.requests
        )
        return text % {"count": grouped(self.requests)}

    @property
    def used_sentence(self) -> str:
        """The page that rotates it says so of the old key."""
        if self.last_at is None:
            return _("The old key was never used.")
        if not self.requests:
            return _("The old key was last used %(when)s.") % {"when": self.last_used}
        text = ngettext(
            "The old key was used %(count)s time in the last 24 hours, last %(when)s.",
            "The old key was used %(count)s times in the last 24 hours, last %(when)s.",
            self.requests,
        )
        return text % {"count": grouped(self.requests), "when": self.last_used}

    @property
    def stop_now_sentence(self) -> str:
        """What "Stop now" does, where the key is in use; empty otherwise."""
        if not self.requests:
            return ""
        text = ngettext(
            "With “Stop now”, %(count)s request a day will fail until the new key is in place.",
            "With “Stop now”, %(count)s requests a day will fail until the new key is in place.",
            self.requests,
        )
        return text % {"count": grouped(self.requests)}

    @property
    def from_where(self) -> str:
        """The address of the last use; empty where it is not known."""
        return "" if self.last is None or not self.last.address else str(self.last.address)


def of_use(key: APIKey, *, now: datetime) -> Use:
    """Return how *key* itself, without its replacements, is used. Two queries."""
    return Use(
        now=now,
        last_at=later(key.last_used_at, last := usage.last_use(key.key_id)),
        last=last,
        requests=requests_of([key], now=now).get(key.key_id, 0) if is_recorded() else None,
    )


def counts_requests() -> bool:
    """Whether the usual middleware counts requests."""
    return _MIDDLEWARE in django_settings.MIDDLEWARE


def is_recorded() -> bool:
    """Whether requests are counted, as far as anybody can tell. No query where the usual middleware does it."""
    return counts_requests() or usage.is_recorded()


def later(used_at: datetime | None, last: LastUse | None) -> datetime | None:
    """Return when a key was last used, which is on record twice; None for never."""
    # One is written after a response, the other with the next flush: either may be ahead, by a minute or so.
    if used_at is None or last is None:
        return used_at if last is None else last.at
    return max(used_at, last.at)
