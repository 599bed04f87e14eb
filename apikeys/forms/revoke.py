"""The forms that stop keys for good: one, and many."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import policy
from ..models import APIKey, RevocationReason
from .change import is_in_use
from .page_form import PageForm, Radios, without_keys
from .words import PolicyCharField

#: Why a person may say that keys are revoked.
REASONS = [reason for reason in RevocationReason if reason != RevocationReason.UNDELIVERED]


class ReasonForm(PageForm):
    """Why."""

    reason = forms.ChoiceField(widget=Radios)
    note = PolicyCharField(cleaned_by=policy.clean_note, required=False, most=policy.MAX_NOTE)
    confirmation = forms.CharField(required=False, strip=True)

    #: What must be typed to confirm.
    phrase: str

    def __init__(self, data: Any = None, *, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        reason = self.fields["reason"]
        reason.label = _("Reason")
        reason.choices = [(choice.value, choice.label) for choice in REASONS]  # type: ignore[attr-defined]  # to mypy it is any field
        reason.error_messages["required"] = _("Choose a reason.")
        self.fields["note"].label = _("Note")
        self.fields["note"].help_text = _("Required for “Other”. Never paste the key here.")
        self.fields["confirmation"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if not self.confirms(typed):
            raise forms.ValidationError(_("This does not match. Type “%(name)s”.") % {"name": self.phrase})
        return typed

    def confirms(self, typed: str) -> bool:
        """Whether *typed* is what was asked for."""
        return typed == self.phrase

    def clean_note(self) -> str:
        note: str = self.cleaned_data["note"]
        if not note and self.cleaned_data.get("reason") == RevocationReason.OTHER:
            raise forms.ValidationError(_("Say in a few words why."))
        return note


class RevokeKeyForm(ReasonForm):
    """Why, and where the key is in use its name."""

    #: The replacement that the person was told of.
    seen_replacement = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, key: APIKey, now: datetime, reason: str = "") -> None:
        self.key = key
        self.phrase = key.name
        self.replacement = APIKey.objects.filter(replaces=key).first()
        super().__init__(data, initial={"seen_replacement": self._replacement_id(), "reason": reason})
        # Whoever uses it would notice: it is revoked only by typing its name.
        self.needs_confirmation = is_in_use(key, now=now)
        if self.needs_confirmation:
            self.fields["confirmation"].label = _("Type the key's name to confirm")
            self.fields["confirmation"].help_text = key.name
        else:
            del self.fields["confirmation"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("seen_replacement", "") != self._replacement_id() and self.replacement is not None:
            message = _(
                "This key was rotated after you opened this page. Its replacement %(key)s goes on working unless you "
                "revoke it too. Nothing was revoked; send this page again to revoke the old key alone."
            )
            self.add_error(None, message % {"key": self.replacement.masked})
            shown_again = without_keys(self.data)
            shown_again["seen_replacement"] = self._replacement_id()
            self.data = shown_again
        return cleaned

    def _replacement_id(self) -> str:
        return "" if self.replacement is None else self.replacement.key_id


class RevokeKeysForm(ReasonForm):
    """Why, and how many."""

    #: In one field each: Django takes at most a thousand fields.
    keys = forms.CharField(required=False, widget=forms.HiddenInput)
    #: Those among them that were shown as rotated.
    rotated = forms.CharField(required=False, widget=forms.HiddenInput)

    field_order = ["keys", "rotated", "reason", "note", "confirmation"]

    def __init__(
        self,
        data: Any = None,
        *,
        open_keys: Collection[APIKey],
        unseen: Collection[APIKey] = (),
        shown: int = 0,
        reason: str = "",
    ) -> None:
        """
        *open_keys* are to be revoked, *unseen* are those among them that were added after the page was shown.

        The page that is sent said that it would revoke *shown* keys. *reason* is chosen already.
        """
        self.phrase = phrase_for(len(open_keys))
        self._shown = shown
        self._unseen = unseen
        self._told = {
            "keys": " ".join(str(key.pk) for key in open_keys),
            "rotated": " ".join(str(key.pk) for key in open_keys if key.overlap_ends_at is not None),
        }
        super().__init__(data, initial={"reason": reason, **self._told})
        self.fields["confirmation"].label = _("Type %(phrase)s to confirm") % {"phrase": self.phrase}

    def confirms(self, typed: str) -> bool:
        # Some may have been revoked since: what the page asked for still says what the person wants.
        return typed in {self.phrase, phrase_for(self._shown)}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self._unseen:
            message = ngettext(
                "%(count)d key was made after you opened this page, as a replacement of one of these. It is in the "
                "list now. Nothing was revoked; look again and send the page once more.",
                "%(count)d keys were made after you opened this page, as replacements of some of these. They are in "
                "the list now. Nothing was revoked; look again and send the page once more.",
                len(self._unseen),
            )
            self.add_error(None, message % {"count": len(self._unseen)})
        return cleaned

    def show_again(self) -> None:
        super().show_again()
        shown_again: Any = self.data
        for name, value in self._told.items():
            shown_again[name] = value
        if self._unseen:
            shown_again["confirmation"] = ""
        self.data = shown_again


def phrase_for(count: int) -> str:
    """Return what is typed to revoke so many keys."""
    return ngettext("REVOKE %(count)d KEY", "REVOKE %(count)d KEYS", count) % {"count": count}
