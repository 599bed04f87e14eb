"""Fields for names, notes, networks, limits and API servers: what ``policy`` refuses stands beside the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import policy
from ..core.errors import (
    NameRefusedError,
    NetworkSyntaxError,
    RateSyntaxError,
    ResourceRefusedError,
    TooManyLimitsError,
    TooManyNetworksError,
)


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


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea
    rows = 3

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)
        self.widget.attrs |= {"rows": self.rows, "spellcheck": "false"}

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        return self.read(super().clean(value).splitlines())

    def read(self, lines: list[str]) -> Any:
        """Return the value that *lines* are, as they were typed."""
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(_plain(self.prepare_value(initial)), _plain(data))


class NetworksField(LinesField):
    """Networks, one a line; None where there is no line."""

    rows = 4

    def read(self, lines: list[str]) -> Any:
        try:
            return policy.clean_networks(lines) or None
        except NetworkSyntaxError as error:
            message = _("Line %(line)d: “%(text)s” is not an IP address or network.")
            raise forms.ValidationError(message % {"line": error.line, "text": error.text}) from error
        except TooManyNetworksError as error:
            raise forms.ValidationError(str(error)) from error


class LimitsField(LinesField):
    """Rates or quotas, one a line, which a function of ``policy`` cleans."""

    def __init__(self, *, cleaned_by: Callable[[Sequence[str]], list[str]], **options: Any) -> None:
        self.cleaned_by = cleaned_by
        super().__init__(**options)

    def read(self, lines: list[str]) -> Any:
        try:
            return self.cleaned_by(lines)
        except (RateSyntaxError, TooManyLimitsError) as error:
            raise forms.ValidationError(str(error)) from error


class ResourceField(forms.CharField):
    """What an API server is called in tokens; None where nothing is typed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, empty_value=None, **options)
        self.widget.attrs |= {"maxlength": str(policy.MAX_RESOURCE), "spellcheck": "false", "inputmode": "url"}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return policy.clean_resource(text)
        except ResourceRefusedError as error:
            raise forms.ValidationError(str(error)) from error


class ResourcesField(LinesField):
    """What API servers are called in tokens, one a line."""

    def read(self, lines: list[str]) -> Any:
        try:
            found = policy.clean_audiences(lines)
            policy.require_servers(found)
        except ResourceRefusedError as error:
            raise forms.ValidationError(str(error)) from error
        return found


def _plain(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").splitlines() if line.strip())
