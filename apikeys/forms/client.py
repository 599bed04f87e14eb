"""The form of a client. It checks; ``clients`` writes."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _

from .. import policy
from ..core import errors
from ..models import Client
from ..status import takes_effect
from .named import PersonField
from .page_form import hide_keys
from .permissions import Resource, ScopesField, picker
from .words import NetworksField, PolicyCharField


def fingerprint(client: Client) -> str:
    """Return a text that differs wherever anything that the form shows of *client* does."""
    values = [getattr(client, field.attname) for field in client._meta.concrete_fields]
    return hashlib.sha256(repr(values).encode()).hexdigest()


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker alone
    """Everything that a person may set on a client."""

    #: Who is filling it in; set by the admin on a subclass of this form.
    by: ClassVar[Any] = None

    name = PolicyCharField(cleaned_by=policy.clean_name, most=policy.MAX_NAME)
    description = PolicyCharField(
        cleaned_by=policy.clean_description, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    owner = PersonField(required=False)
    allowed_scopes = ScopesField(required=False)
    max_key_lifetime = forms.IntegerField(required=False, min_value=1, max_value=36500)
    allowed_networks = NetworksField()
    #: What the client was when the page was opened: an old page must not switch it on again.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Client
        fields = (
            "name",
            "kind",
            "description",
            "contact",
            "owner",
            "allowed_scopes",
            "max_key_lifetime",
            "allowed_networks",
            "is_active",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        client = options.get("instance")
        if client is not None:
            options["initial"] = {
                **(options.get("initial") or {}),
                "owner": client.owner,
                "seen": fingerprint(client),
                "max_key_lifetime": client.max_key_lifetime and client.max_key_lifetime.days,
            }
        super().__init__(*args, **options)
        for name, label, text in (
            ("name", _("Name"), ""),
            ("description", _("Description"), ""),
            ("owner", _("Owner of record"), _("The person who answers for this client. Type a user name.")),
            ("allowed_scopes", _("Permissions it may hold"), _("No key of this client can do more.")),
            ("max_key_lifetime", _("Longest life of a key, in days"), _("Leave empty for the site's own limit.")),
            ("allowed_networks", _("Restrict to IP addresses"), _("Leave empty for any address. One network a line.")),
        ):
            self.fields[name].label = label
            self.fields[name].help_text = text
        self.fields["allowed_scopes"].widget.resources = self.permission_groups
        if "is_active" in self.fields:  # not where a person may only look
            self.fields["is_active"].help_text = self._switch_text()

    def permission_groups(self) -> list[Resource]:
        """Return the picker as it stands. What the client has already may stay, whoever grants it."""
        chosen = self["allowed_scopes"].value() or []
        groups = picker("allowed_scopes", chosen=chosen, answered=True, client=None, by=self.by)
        return [group.keeping(self.initial.get("allowed_scopes") or []) for group in groups]

    def clean_allowed_scopes(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["allowed_scopes"]
        had = self.instance.allowed_scopes if self.instance.pk else []
        try:
            policy.require_grantable([name for name in chosen if name not in had], by=self.by)
        except errors.ScopeNotGrantableError as error:
            raise forms.ValidationError(str(error)) from error
        return chosen

    def clean_max_key_lifetime(self) -> timedelta | None:
        days = self.cleaned_data["max_key_lifetime"]
        return None if days is None else timedelta(days=days)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        seen = self.cleaned_data.get("seen")
        if self.instance.pk and seen and seen != fingerprint(self.instance):
            message = _("Somebody else changed this client since you opened the page. Open it again.")
            self.add_error(None, message)
        if self.errors:
            hide_keys(self)
        return cleaned

    def _switch_text(self) -> str:
        if self.instance.pk is None:
            return ""
        count = self.instance.keys.working().count()
        text = _(
            "Disabling it stops its working keys: %(count)d. %(takes_effect)s They come back if you enable it again."
        )
        return text % {"count": count, "takes_effect": takes_effect()}
