"""The permission picker: for each resource radios for no access, read, read and write, and check boxes for the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from ..core.errors import UndeclaredScopeError
from ..core.scopes import Scope
from ..models import Client
from ..policy import not_grantable
from ..registry import scope_registry


@dataclass(frozen=True, kw_only=True)
class Option:
    """One radio or check box."""

    id: str
    #: The names of the scopes that it gives, with spaces between them.
    value: str
    label: str
    text: str
    is_checked: bool
    is_sensitive: bool = False
    #: Why it can't be chosen; empty where it can.
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One fieldset."""

    name: str
    #: The name of its radios in the form; empty where it has none.
    radio_name: str
    radios: Sequence[Option]
    boxes: Sequence[Option]

    def keeping(self, names: Collection[str]) -> Resource:
        """Return it with what gives only *names* enabled."""

        def enabled(option: Option) -> Option:
            return replace(option, reason="") if set(option.value.split()) <= set(names) else option

        return replace(self, radios=[*map(enabled, self.radios)], boxes=[*map(enabled, self.boxes)])


class ScopePicker(forms.Widget):
    """The fieldsets, and what reads the names out of all of their radios and check boxes."""

    template_name = "admin/apikeys/includes/picker.html"
    use_fieldset = True

    #: What is shown, asked when it is shown; set by the form.
    resources: Callable[[], list[Resource]]

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, value, attrs) | {"resources": self.resources()}

    def id_for_label(self, id_: str) -> str:
        # There is no one control that a label could be for.
        return ""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[str]:
        getlist = getattr(data, "getlist", lambda key: [data[key]] if key in data else [])
        own = [key for key in data if key == name or key.startswith(f"{name}-")]
        return list(dict.fromkeys(word for key in own for value in getlist(key) for word in str(value).split()))

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        # Boxes without a tick are not sent, which means none of them.
        return False


class ScopesField(forms.Field):
    """Names of declared scopes, in the order of their declaration."""

    widget = ScopePicker

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", _("Permissions"))
        super().__init__(**options)

    def clean(self, value: Any) -> list[str]:
        names = list(value or [])
        try:
            names = scope_registry().require(names)
        except UndeclaredScopeError as error:
            message = _("“%(name)s” is not a permission any more. Reload the page.")
            raise forms.ValidationError([message % {"name": name} for name in error.names]) from error
        if self.required and not names:
            raise forms.ValidationError(_("Choose at least one permission. A key with none can do nothing."))
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        return set(initial or ()) != set(data or ())


def picker(name: str, *, chosen: Collection[str], answered: bool, client: Client | None, by: Any) -> list[Resource]:
    """
    Return what the field *name* looks like with *chosen* scopes.

    *answered* says that a person saw it before: then "No access" is shown as chosen where nothing else is. What
    *client*, where one is known, or *by* may not give is disabled and says why.
    """
    refused = set(not_grantable(list(scope_registry()), by=by))
    reasons = {scope: _reason(scope, client=client, refused=refused) for scope in scope_registry()}
    resources = []
    for number, (resource, scopes) in enumerate(scope_registry().by_resource().items()):
        pair = _pair(scopes)
        resources.append(
            Resource(
                name=capfirst(resource),
                radio_name=f"{name}-{number}" if pair else "",
                radios=_radios(f"{name}-{number}", pair, chosen=chosen, answered=answered, client=client, why=reasons)
                if pair
                else [],
                boxes=[
                    Option(
                        id=f"id_{name}-{number}-{index}",
                        value=scope.name,
                        label=str(scope.label),
                        text=str(scope.text),
                        is_checked=scope.name in chosen,
                        is_sensitive=scope.sensitive,
                        reason=reasons[scope.name],
                    )
                    for index, scope in enumerate(scope for scope in scopes if scope not in pair)
                ],
            )
        )
    return resources


def _pair(scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    # A resource may have extras, but only one scope to read it with and one to write.
    by_action = {_action(scope.name): scope for scope in reversed(scopes)}
    if {"read", "write"} <= set(by_action):
        return by_action["read"], by_action["write"]
    return ()


def _radios(
    name: str,
    pair: tuple[Scope, ...],
    *,
    chosen: Collection[str],
    answered: bool,
    client: Client | None,
    why: Mapping[str, str],
) -> list[Option]:
    read, write = pair
    writes, reads = write.name in chosen, read.name in chosen
    why_not_write = why[write.name]
    if client is not None and why_not_write and not why[read.name] and write.name not in client.allowed_scopes:
        why_not_write = _("The client “%(client)s” may only read.") % {"client": client.name}
    return [
        Option(
            id=f"id_{name}-none",
            value="",
            label=_("No access"),
            text="",
            is_checked=answered and not (reads or writes),
        ),
        Option(
            id=f"id_{name}-read",
            value=read.name,
            label=_("Read"),
            text=str(read.text),
            is_checked=reads and not writes,
            is_sensitive=read.sensitive,
            reason=why[read.name],
        ),
        Option(
            id=f"id_{name}-write",
            value=f"{read.name} {write.name}",
            label=_("Read and write"),
            text=_("Everything in Read, plus: %(text)s") % {"text": write.text},
            is_checked=writes,
            is_sensitive=write.sensitive,
            reason=why[read.name] or why_not_write,
        ),
    ]


def _reason(name: str, *, client: Client | None, refused: Collection[str]) -> str:
    if client is not None and name not in client.allowed_scopes:
        return _("The client “%(client)s” may not hold this permission.") % {"client": client.name}
    if name in refused:
        return _("You may not grant this permission.")
    return ""


def _action(name: str) -> str:
    return name.rpartition(":")[2]
