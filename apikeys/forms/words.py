"""Fields for names, notes and networks: what ``policy`` refuses stands beside the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import policy
from ..core.errors import NameRefusedError, NetworkSyntaxError, TooManyNetworksError


class PolicyCharField(forms.CharField):
    """A text that a function of ``policy`` cleans."""

    def __init__(self, *, cleaned_by: Callable[[str], str], **options: Any) -> None:
        self.cleaned_by = cleaned_by
        # The policy counts and refuses, in words of its own.
        limit = options.pop("most", None)
        super().__init__(**options)
        if limit is not None:
            self.widget.attrs["maxlength"] = str(limit)

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        try:
            return self.cleaned_by(text)
        except NameRefusedError as error:
            raise forms.ValidationError(str(error)) from error


class NetworksField(forms.CharField):
    """Networks, one a line; None where there is no line."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)
        self.widget.attrs |= {"rows": 4, "spellcheck": "false"}

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return policy.clean_networks(text.splitlines()) or None
        except NetworkSyntaxError as error:
            message = _("Line %(line)d: “%(text)s” is not an IP address or network.")
            raise forms.ValidationError(message % {"line": error.line, "text": error.text}) from error
        except TooManyNetworksError as error:
            raise forms.ValidationError(str(error)) from error
