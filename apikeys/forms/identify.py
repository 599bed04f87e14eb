"""The form for a key that somebody found."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .page_form import PageForm

#: In characters: a screen of a log.
MAX_TEXT = 20_000


class IdentifyForm(PageForm):
    """A key, or a piece of a log. What was pasted is never shown again."""

    text = forms.CharField(widget=forms.PasswordInput, strip=False)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        text = self.fields["text"]
        text.label = _("Key or piece of a log")
        text.help_text = _(
            "Paste a key, or a piece of a log with keys in it. It is not stored, but treat a key you found as leaked."
        )
        text.error_messages["required"] = _("Paste a key, or a piece of a log with keys in it.")
        # The only word for it that keeps browsers from offering to store it as a password.
        text.widget.attrs |= {"autocomplete": "one-time-code", "spellcheck": "false", "autofocus": True}
        text.widget.attrs |= {"data-1p-ignore": True, "data-lpignore": "true", "data-bwignore": True}

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if len(text) > MAX_TEXT:
            message = _("Paste at most %(most)d characters.") % {"most": MAX_TEXT}
            raise forms.ValidationError(message)
        return text
