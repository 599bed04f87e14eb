"""What people answer: may this app do that, and which device is it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from . import devices


class ConsentForm(forms.Form):
    """
    The answer to one app's question. Only what is optional may be left out; nothing can be added.

    It says which question it answers: the client may be edited while the person reads.
    """

    allow = forms.CharField(required=False)
    optional = forms.MultipleChoiceField(required=False)
    question = forms.CharField(required=False, strip=False)

    def __init__(self, data: Any = None, *, scopes: Sequence[str], optional: Sequence[str]) -> None:
        super().__init__(data)
        self._scopes = scopes
        self._optional = optional
        field = self.fields["optional"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101  # declared above
        field.choices = [(name, name) for name in optional]

    @property
    def asked(self) -> str:
        """What the page sends back as ``question``: all that it asks for, and what of that is optional."""
        # No scope has a quotation mark (RFC 6749 section 3.3).
        return f'{" ".join(self._scopes)}"{" ".join(self._optional)}'

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.is_allowed() and cleaned.get("question") != self.asked:
            raise forms.ValidationError(_("What the app asks for has changed. Read it again."), code="changed")
        if self.is_allowed() and not self.granted():
            raise forms.ValidationError(_("Tick one permission at least, or cancel."), code="nothing")
        return cleaned

    def is_allowed(self) -> bool:
        """Whether the person pressed Allow, and nothing else."""
        return bool(self.cleaned_data.get("allow") == "yes")

    def granted(self) -> list[str]:
        """Return the scopes that were asked for, without the optional ones that were left out."""
        ticked = self.cleaned_data.get("optional", [])
        return [name for name in self._scopes if name not in self._optional or name in ticked]


class UserCodeForm(forms.Form):
    """The code that a device shows (RFC 8628 section 3.3), in any case, with or without the dash."""

    user_code = forms.CharField(
        label=_("Code"),
        help_text=_("8 letters in two groups, such as BDFH-KLMN."),
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "class": "code"}
        ),
        error_messages={"required": _("Enter the code.")},
    )

    def clean_user_code(self) -> str:
        code = "".join(self.cleaned_data["user_code"].upper().replace("-", "").split())
        if len(code) != devices.LETTERS or not set(devices.ALPHABET).issuperset(code):
            raise forms.ValidationError(_("A code has 8 letters, such as BDFH-KLMN."), code="shape")
        return code
