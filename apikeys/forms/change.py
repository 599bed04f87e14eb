"""The forms that change a key: rotate, rename, narrow."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import policy
from ..conf import settings
from ..core import errors
from ..models import APIKey
from ..registry import scope_registry
from ..status import absolute, span_of
from .expiry import ExpiryForm
from .page_form import PageForm, Radios
from .words import PolicyCharField

_RECENTLY = timedelta(hours=24)
_OVERLAPS = (timedelta(0), timedelta(hours=1), timedelta(hours=24), timedelta(days=7))
#: The value of the radio beside numbers of seconds.
_FIRST_USE = "first-use"


class RotateKeyForm(ExpiryForm):
    """How long the old key works on, and how long the new one lives."""

    overlap = forms.ChoiceField(widget=Radios)
    form_id = forms.UUIDField(widget=forms.HiddenInput)

    field_order = ["overlap", "expires", "custom_date", "form_id"]
    offers_same = True

    def __init__(self, data: Any = None, *, key: APIKey, now: datetime) -> None:
        super().__init__(data, initial={"form_id": uuid.uuid4()})
        self.same_expires_at = policy.same_expiry(key, client=key.client, now=now)
        self.set_up_expiry(now=now)
        self.fields["expires"].label = _("The new key expires")
        overlap = self.fields["overlap"]
        overlap.label = _("Keep the old key working for")
        overlap.error_messages["required"] = _("Choose how long the old key keeps working.")
        default = min(settings.DEFAULT_OVERLAP, settings.MAX_OVERLAP)
        self.lengths = sorted(length for length in {*_OVERLAPS, default} if length <= settings.MAX_OVERLAP)
        choices = [(_seconds(length), _overlap_label(length, key=key, now=now)) for length in self.lengths]
        if settings.MAX_OVERLAP > policy.FIRST_USE_OVERLAP:
            self.lengths.append(settings.MAX_OVERLAP)
            choices.append((_FIRST_USE, _first_use_label(key, now=now)))
        overlap.choices = choices  # type: ignore[attr-defined]  # to mypy it is any field
        overlap.initial = _seconds(default)

    def chosen_overlap(self) -> policy.Overlap:
        """Return how long the old key is to work on."""
        chosen: str = self.cleaned_data["overlap"]
        return policy.FROM_FIRST_USE if chosen == _FIRST_USE else timedelta(seconds=int(chosen))

    @property
    def longest_overlap(self) -> timedelta:
        """How long the old key could work on, if it did not expire."""
        return self.lengths[-1]

    def refuse(self, error: errors.APIKeysError) -> None:
        """Show *error* beside the field that it belongs to."""
        field = {errors.LifetimeRefusedError: self.expiry_field, errors.OverlapRefusedError: "overlap"}
        self.add_error(field.get(type(error)), str(error))


class EditKeyForm(PageForm):
    """Another name and note."""

    name = PolicyCharField(cleaned_by=policy.clean_name, most=policy.MAX_NAME)
    note = PolicyCharField(cleaned_by=policy.clean_note, required=False, most=policy.MAX_NOTE)

    def __init__(self, data: Any = None, *, key: APIKey) -> None:
        super().__init__(data, initial={"name": key.name, "note": key.note})
        self.fields["name"].label = _("Name")
        self.fields["name"].error_messages["required"] = _("Give the key a name.")
        self.fields["note"].label = _("Note")
        self.fields["note"].help_text = _("Where is it stored? Never paste the key here.")

    def refuse(self, error: errors.APIKeysError) -> None:
        """Show *error* beside the name, the only field that a row can be in the way of."""
        self.add_error("name", str(error))


class NarrowKeyForm(PageForm):
    """Which of its permissions a key keeps."""

    scopes = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any = None, *, key: APIKey) -> None:
        super().__init__(data, initial={"scopes": key.scopes})
        scopes = self.fields["scopes"]
        scopes.label = _("Permissions to keep")
        scopes.help_text = _("To add permissions, issue a new key.")
        scopes.choices = [(name, _scope_label(name)) for name in key.scopes]  # type: ignore[attr-defined]  # to mypy it is any field
        scopes.error_messages |= {
            "required": _("Choose at least one permission. A key with none can do nothing."),
            "invalid_choice": _("This key does not hold “%(value)s”. To add permissions, issue a new key."),
        }


def is_in_use(key: APIKey, *, now: datetime) -> bool:
    """Whether *key* was used in the last 24 hours."""
    return key.last_used_at is not None and key.last_used_at > now - _RECENTLY


def _scope_label(name: str) -> str:
    scope = scope_registry().get(name)
    return name if scope is None else f"{scope.text} ({name})"


def _seconds(length: timedelta) -> str:
    return str(int(length.total_seconds()))


def _overlap_label(length: timedelta, *, key: APIKey, now: datetime) -> str:
    if not length:
        return _("Stop now")
    stops_at = policy.overlap_end(key, overlap=length, now=now)
    return _("%(length)s (until %(instant)s)") % {"length": span_of(length), "instant": absolute(stops_at)}


def _first_use_label(key: APIKey, *, now: datetime) -> str:
    stops_at = policy.overlap_end(key, overlap=policy.FROM_FIRST_USE, now=now)
    text = _("until %(length)s after the new key is first used, never longer than %(longest)s (until %(instant)s)")
    return text % {
        "length": span_of(policy.FIRST_USE_OVERLAP),
        "longest": span_of(settings.MAX_OVERLAP),
        "instant": absolute(stops_at),
    }
