"""What all forms on our pages do alike: focus the first fault, and never show a pasted key again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms

from ..conf import settings
from ..core import keyformat


class Radios(forms.RadioSelect):
    """Radios of which those in ``disabled`` can't be chosen, and only the first takes the focus."""

    disabled: Collection[str] = ()

    def create_option(
        self, name: str, value: Any, label: Any, selected: Any, index: int, *rest: Any, **more: Any
    ) -> Any:
        option = super().create_option(name, value, label, selected, index, *rest, **more)
        if str(value) in self.disabled:
            option["attrs"]["disabled"] = True
        if index:
            option["attrs"].pop("autofocus", None)
        return option


class PageForm(forms.Form):
    """A form on a page of its own."""

    def show_again(self) -> None:
        """Prepare the form to be shown with its faults."""
        hide_keys(self)
        for name in self.fields:
            self.fields[name].widget.attrs.pop("autofocus", None)
        faulty = next((name for name in self.fields if name in self.errors), None)
        if faulty is not None:
            self.fields[faulty].widget.attrs["autofocus"] = True


def hide_keys(form: forms.BaseForm) -> None:
    """Take what looks like a key out of what *form* shows again: the values and the faults that quote them."""
    form.data = without_keys(form.data)
    pattern = keyformat.key_pattern(settings.PREFIX)
    for faults in form.errors.values():
        for fault in faults.as_data():
            if pattern.search("".join(map(str, fault.messages))):
                fault.message, fault.params = pattern.sub("…", fault.messages[0]), None


def without_keys(data: Any) -> Any:
    """Return the submitted *data* without what looks like keys, so that a page that shows it again shows none."""
    data = data.copy()
    pattern = keyformat.key_pattern(settings.PREFIX)
    for name in list(data):
        values = data.getlist(name)
        if any(pattern.search(value) for value in values):
            data.setlist(name, [pattern.sub("", value) for value in values])
    return data
