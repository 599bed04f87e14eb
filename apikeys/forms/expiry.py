"""When a key ends: radios with their dates, a date of one's own, or never."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..conf import settings
from ..models import Client
from ..policy import DEFAULT, Lifetime, long_date, longest_lifetime
from ..status import absolute, span_of
from .page_form import PageForm, Radios

#: The values of the radios beside numbers of days.
CUSTOM, ENDLESS, SAME = "custom", "none", "same"
_DAYS = (7, 30, 60, 90)
_LAST_MINUTE = time(23, 59)


class ExpiryForm(PageForm):
    """The two fields that say how long a new key lives, for forms about one."""

    expires = forms.ChoiceField(widget=Radios)
    custom_date = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), input_formats=["%Y-%m-%d"]
    )

    #: What "Same length as before" stands for; None where there was no key before.
    same_expires_at: datetime | None = None
    offers_same = False

    def set_up_expiry(self, *, now: datetime) -> None:
        """Give the two fields the texts and choices of today."""
        self.now = now
        expires = self.fields["expires"]
        expires.label = _("Expires")
        expires.help_text = _("The key stops working by itself. Shorter is safer.")
        expires.error_messages["required"] = _("Choose when the key stops.")
        default_days = settings.DEFAULT_LIFETIME.days
        choices = [(str(days), _days(days, now=now)) for days in sorted({*_DAYS, default_days})]
        choices.append((CUSTOM, _("Custom date")))
        choices.append((ENDLESS, self._endless_label()))
        if self.offers_same:
            choices.insert(0, (SAME, self._same_label()))
        expires.choices = choices  # type: ignore[attr-defined]  # a ChoiceField, by its declaration above
        expires.initial = SAME if self.offers_same else str(default_days)
        if self.initial.get("expires") not in dict(choices):
            self.initial.pop("expires", None)
        expires.widget.disabled = () if settings.ALLOW_NO_EXPIRY else (ENDLESS,)
        custom_date = self.fields["custom_date"]
        custom_date.label = _("Custom date")
        custom_date.help_text = _("Used only with “Custom date”. Until 23:59 in your time zone (%(zone)s).") % {
            "zone": timezone.get_current_timezone_name()
        }
        custom_date.widget.attrs["min"] = timezone.localdate(now).isoformat()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("expires") == CUSTOM and not self.cleaned_data.get("custom_date"):
            if "custom_date" not in self.errors:
                self.add_error("custom_date", _("Choose a date in the future."))
        elif "custom_date" in self.errors and self.cleaned_data.get("expires") != CUSTOM:
            # It is not asked for, so whatever stands there is no fault.
            del self.errors["custom_date"]
        return cleaned

    def lifetime(self, *, client: Client) -> Lifetime:
        """Return how long the key is to live, from now on. Whether it may is for ``keys`` to say."""
        chosen = self.cleaned_data["expires"]
        if chosen == SAME:
            return DEFAULT
        if chosen == ENDLESS:
            return None
        if chosen != CUSTOM:
            return timedelta(days=int(chosen))
        now = timezone.now()
        day = self.cleaned_data["custom_date"]
        ends_at = timezone.make_aware(datetime.combine(day, _LAST_MINUTE))
        latest = now + longest_lifetime(client)
        if timezone.localdate(latest) == day:
            # The last day that is allowed is allowed, though its last minute may not be.
            ends_at = min(ends_at, latest)
        return ends_at - now

    @property
    def expiry_field(self) -> str:
        """The field that a refused lifetime belongs to."""
        return "custom_date" if self.cleaned_data.get("expires") == CUSTOM else "expires"

    def _endless_label(self) -> str:
        if settings.ALLOW_NO_EXPIRY:
            return _("No expiry: the key works until somebody revokes it")
        return _("No expiry. This site does not allow keys without expiry.")

    def _same_label(self) -> str:
        if self.same_expires_at is None:
            return _("Same as before (no expiry)")
        length = self.same_expires_at - self.now
        if length < timedelta(days=1):
            label = _("Same length as before (%(length)s, until %(instant)s)")
            return label % {"length": span_of(length), "instant": absolute(self.same_expires_at)}
        days = round(length / timedelta(days=1))
        label = ngettext(
            "Same length as before (%(days)d day, until %(date)s)",
            "Same length as before (%(days)d days, until %(date)s)",
            days,
        )
        return label % {"days": days, "date": long_date(self.same_expires_at)}


def _days(days: int, *, now: datetime) -> str:
    label = ngettext("%(days)d day (%(date)s)", "%(days)d days (%(date)s)", days)
    return label % {"days": days, "date": long_date(now + timedelta(days=days))}
