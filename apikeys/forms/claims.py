"""One control for each declared claim, so that nobody types JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from .. import policy
from ..core import errors
from ..core.claims import Claim, Values, counting
from ..models import APIKey
from ..registry import declared_claims
from .page_form import PageForm
from .words import LinesField

_PREFIX = "claim_"
#: Of what the client says, beside a control.
_MOST_SHOWN = 60
_BOOLEANS = {"true": True, "false": False}


def field_names() -> list[str]:
    """Return what the controls of all declared claims are called."""
    return [_PREFIX + name for name in declared_claims()]


def fields() -> dict[str, forms.Field]:
    """Return the controls of all declared claims, each one optional."""
    return {_PREFIX + name: _field(claim) for name, claim in declared_claims().items()}


def describe(form: forms.BaseForm, *, instead: Values | None = None) -> None:
    """Give the controls in *form* their texts; *instead* has the claims that count where one is left alone."""
    for name, claim in declared_claims().items():
        field: Any = form.fields.get(_PREFIX + name)
        if field is None:
            continue
        is_chosen = isinstance(field, forms.ChoiceField) and not isinstance(field, forms.MultipleChoiceField)
        of_client = "" if instead is None or name not in instead else _cut(in_words(instead[name]))
        field.label = str(claim.label)
        field.help_text = " ".join(
            filter(None, (str(claim.text), _lines(claim), "" if is_chosen else _otherwise(claim, of_client=of_client)))
        )
        if is_chosen:
            unset = _("as the client: %(value)s") % {"value": of_client} if of_client else _("not set")
            field.choices = [("", f"– {unset} –"), *_choices(claim)]


def shown(claims: Values) -> dict[str, Any]:
    """Return what the controls show of *claims*: nothing of what counts no more."""
    counted = counting(declared_claims(), claims)
    return {_PREFIX + name: _shown(declared_claims()[name], value) for name, value in counted.items()}


def clean(form: forms.BaseForm) -> dict[str, Any]:
    """Return the claims that were filled in; what is wrong with them stands beside the controls of *form*."""
    chosen: dict[str, Any] = {}
    for name, claim in declared_claims().items():
        value = form.cleaned_data.get(_PREFIX + name)
        if value not in (None, "", []):
            chosen[name] = _read(claim, value)
    try:
        return policy.clean_claims(chosen)
    except errors.ClaimRefusedError as error:
        form.add_error(_PREFIX + error.name if error.name else None, str(error))
        return {}


class ClaimsForm(PageForm):
    """What a key and its replacements say besides scopes."""

    def __init__(self, data: Any = None, *, key: APIKey) -> None:
        super().__init__(data, initial=shown(key.claims))
        self.fields.update(fields())
        describe(self, instead=counting(declared_claims(), key.client.claims))
        self.claims: Mapping[str, Any] = {}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            self.claims = clean(self)
        return cleaned


def _field(claim: Claim) -> forms.Field:
    if claim.kind == "texts":
        if not claim.choices:
            return LinesField()
        return forms.MultipleChoiceField(choices=_choices(claim), required=False, widget=forms.CheckboxSelectMultiple)
    if claim.choices or claim.kind == "boolean":
        return forms.ChoiceField(choices=[("", ""), *_choices(claim)], required=False)
    if claim.kind == "integer":
        return forms.IntegerField(required=False)
    if claim.kind == "number":
        return forms.FloatField(required=False)
    return forms.CharField(required=False, widget=forms.TextInput(attrs={"class": "vTextField"}))


def _choices(claim: Claim) -> list[tuple[str, str]]:
    if claim.kind == "boolean":
        return [("true", _("Yes")), ("false", _("No"))]
    return [(str(choice), str(choice)) for choice in claim.choices]


def _lines(claim: Claim) -> str:
    return _("One a line.") if claim.kind == "texts" and not claim.choices else ""


def _otherwise(claim: Claim, *, of_client: str) -> str:
    """Return what counts where the control is left alone; empty where nothing does."""
    if not of_client:
        return ""
    is_ticked = claim.kind == "texts" and claim.choices
    text = (
        _("Tick none for what the client says: %(value)s.")
        if is_ticked
        else _("Leave empty for what the client says: %(value)s.")
    )
    return text % {"value": of_client}


def _cut(text: str) -> str:
    return Truncator(text).chars(_MOST_SHOWN)


def in_words(value: Any) -> str:
    """Return the *value* of a claim as people read it."""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _shown(claim: Claim, value: Any) -> Any:
    if claim.kind == "texts":
        return list(value)
    if claim.kind == "boolean":
        return "true" if value else "false"
    return str(value) if claim.choices else value


def _read(claim: Claim, value: Any) -> Any:
    if claim.kind == "boolean":
        return _BOOLEANS[value]
    if claim.choices and claim.kind != "texts":
        return next(choice for choice in claim.choices if str(choice) == value)
    return policy.whole_or_not(value) if claim.kind == "number" else value
