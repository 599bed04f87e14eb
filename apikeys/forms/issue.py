"""The form that asks for a key."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from .. import policy
from ..core import errors
from ..models import Client
from ..registry import scope_registry, unreserved_scopes
from ..status import permission_sentence
from .expiry import ExpiryForm
from .limits import label_limits
from .named import ClientField, PersonField
from .page_form import Radios, without_keys
from .permissions import Resource, ScopesField, picker
from .words import LimitsField, NetworksField, PolicyCharField

PERSON, NOBODY = "person", "nobody"


class IssueKeyForm(ExpiryForm):
    """Name, client, owner, permissions, expiry, networks, limits, note, and the one-time id of the form."""

    name = PolicyCharField(cleaned_by=policy.clean_name, most=policy.MAX_NAME)
    client = ClientField()
    acts_for = forms.ChoiceField(widget=Radios)
    owner = PersonField(required=False)
    scopes = ScopesField()
    allowed_networks = NetworksField()
    rates = LimitsField(cleaned_by=policy.clean_rates)
    quotas = LimitsField(cleaned_by=policy.clean_quotas)
    note = PolicyCharField(cleaned_by=policy.clean_note, required=False, most=policy.MAX_NOTE)
    form_id = forms.UUIDField(widget=forms.HiddenInput)

    field_order = [
        "name",
        "client",
        "acts_for",
        "owner",
        "scopes",
        "expires",
        "custom_date",
        "allowed_networks",
        "rates",
        "quotas",
        "note",
        "form_id",
    ]

    def __init__(self, data: Any = None, *, by: Any, now: datetime, prefill: Mapping[str, Any] | None = None) -> None:
        self.by = by
        self.may_choose_owner = bool(by.has_perm("apikeys.issue_apikey_for_others"))
        self.may_issue_for_self = bool(by.has_perm("apikeys.issue_apikey"))
        self.may_act_for_nobody = bool(by.has_perm("apikeys.issue_service_apikey")) and policy.service_keys_available()
        super().__init__(data, initial={"form_id": uuid.uuid4(), **(prefill or {})})
        self.set_up_expiry(now=now)
        self._set_up_texts()
        self._set_up_owner()
        # An unknown client leaves the picker without a ceiling; the server applies it once it knows.
        self.known_client = self._known_client()
        self.fields["scopes"].widget.resources = self.permission_groups

    def permission_groups(self) -> list[Resource]:
        """Return the picker as it stands."""
        return picker(
            "scopes",
            chosen=self["scopes"].value() or [],
            answered=self.is_bound,
            client=self.known_client,
            by=self.by,
        )

    def summary(self) -> str:
        """Return what the key would be able to do, as chosen so far; empty where nothing is."""
        chosen = self["scopes"].value() or []
        return permission_sentence(chosen, could_be=unreserved_scopes()) if chosen else ""

    def clean_owner(self) -> Any:
        if self.cleaned_data.get("acts_for") == NOBODY:
            return None
        owner = self.cleaned_data["owner"]
        if owner is None:
            raise forms.ValidationError(self.fields["owner"].error_messages["required"])
        if not self.offers_owner or (owner.pk != self.by.pk and not self.may_choose_owner):
            # The page does not let them type another name.
            raise PermissionDenied
        if owner.pk == self.by.pk and not self.may_issue_for_self:
            raise forms.ValidationError(_("You may not issue keys for yourself."))
        if not policy.may_issue(self.by, owner=owner):
            message = _("%(person)s holds rights that you lack, so you may not issue a key that acts for this person.")
            raise forms.ValidationError(message % {"person": owner.get_username()})
        return owner

    def clean_acts_for(self) -> str:
        chosen: str = self.cleaned_data["acts_for"]
        if chosen == NOBODY and not self.may_act_for_nobody:
            raise PermissionDenied
        return chosen

    def refuse(self, error: errors.APIKeysError) -> None:
        """Show *error* beside the field that it belongs to."""
        field = {
            errors.DuplicateNameError: "name",
            errors.ClientNotActiveError: "client",
            errors.OwnerNotActiveError: "owner",
            errors.TooManyKeysError: "owner",
            errors.ServiceKeysUnavailableError: "owner",
            errors.LifetimeRefusedError: self.expiry_field,
        }.get(type(error))
        if field is None:
            field = "scopes" if isinstance(error, errors.ScopeError) else None
        self.add_error(field, str(error))

    def _set_up_texts(self) -> None:
        for name, label, text in (
            ("name", _("Name"), _("What will this key be used for? For example: Nightly export on the build server.")),
            ("client", _("Client"), _("The app that will hold this key. Its exact name or its client id.")),
            ("owner", _("Owner"), _("The key can reach only this person's data. Type a user name.")),
            ("allowed_networks", _("Restrict to IP addresses"), _("Leave empty for any address. One network a line.")),
            ("note", _("Note"), _("Where is it stored? Never paste the key here.")),
        ):
            self.fields[name].label = label
            self.fields[name].help_text = text
        label_limits(self)
        self.fields["name"].widget.attrs["autofocus"] = True
        for name in ("name", "client", "owner"):
            self.fields[name].widget.attrs["autocomplete"] = "off"
        self.fields["name"].error_messages["required"] = _("Give the key a name.")
        self.fields["owner"].error_messages["required"] = _("Type the user name of the person that the key acts for.")
        self.fields["client"].error_messages["required"] = _("Type the name of the client.")

    def _set_up_owner(self) -> None:
        acts_for = self.fields["acts_for"]
        acts_for.label = _("Who the key acts for")
        self.offers_owner = self.may_issue_for_self or self.may_choose_owner
        choices = [(PERSON, _("A person"))] if self.offers_owner else []
        if self.may_act_for_nobody:
            choices.append((NOBODY, _("No person (service key)")))
        # Always both: what the page does not offer is refused as forged, not as mistyped.
        acts_for.choices = [(PERSON, _("A person")), (NOBODY, _("No person (service key)"))]  # type: ignore[attr-defined]  # to mypy it is any field
        acts_for.widget.choices = choices
        acts_for.required = False
        self.fields["owner"].required = not self.may_act_for_nobody
        self.initial.setdefault("acts_for", choices[0][0] if choices else PERSON)
        if not self.may_choose_owner:
            self.initial["owner"] = self.by
            self.fields["owner"].widget.attrs["readonly"] = True
            self.fields["owner"].help_text = _("The key can reach only your own data.")
        elif self.may_issue_for_self:
            self.initial.setdefault("owner", self.by)

    def _known_client(self) -> Client | None:
        field = self.fields["client"]
        try:
            client: Client | None = field.clean(field.prepare_value(self["client"].value()))
        except forms.ValidationError:
            return None
        return client


def prefill_from_address(query: Any) -> dict[str, Any]:
    """Return what ``?name=…&client=…&scope=todo:read&expires=30&rate=20/s``, a link or a question, fills in."""
    query = without_keys(query)
    prefill = {name: query[name] for name in ("name", "client", "owner", "note") if query.get(name)}
    if scopes := [word for text in query.getlist("scope") for word in text.split()]:
        prefill["scopes"] = [name for name in scopes if name in scope_registry()]
    prefill |= {f"{name}s": query.getlist(name) for name in ("rate", "quota") if query.get(name)}
    if query.get("expires"):
        prefill["expires"] = query["expires"]
    return prefill
