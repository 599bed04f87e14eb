"""The form of a client. It checks; ``clients`` writes."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.utils.translation import gettext as _

from .. import policy
from ..core import errors
from ..core.claims import counting
from ..models import Client
from ..registry import declared_claims
from ..status import takes_effect
from . import claims
from .named import PersonField
from .page_form import hide_keys
from .permissions import Resource, ScopesField, picker
from .words import LimitsField, NetworksField, PolicyCharField, ResourceField, ResourcesField


def fingerprint(*rows: Model) -> str:
    """Return a text that differs wherever a column of one of *rows* does."""
    values = [getattr(row, field.attname) for row in rows for field in row._meta.concrete_fields]
    # Some databases return bytes as a view, whose repr is its place in memory.
    texts = [repr(bytes(value) if isinstance(value, memoryview) else value) for value in values]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker alone
    """Everything that a person may set on a client."""

    #: Who is filling it in; set by the admin on a subclass of this form.
    by: ClassVar[Any] = None
    #: Whether it has controls for claims, which the admin adds for who may set them.
    asks_for_claims: ClassVar[bool] = False

    name = PolicyCharField(cleaned_by=policy.clean_name, most=policy.MAX_NAME)
    description = PolicyCharField(
        cleaned_by=policy.clean_description, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    owner = PersonField(required=False)
    allowed_scopes = ScopesField(required=False)
    max_key_lifetime = forms.IntegerField(required=False, min_value=1, max_value=36500)
    allowed_networks = NetworksField()
    rates = LimitsField(cleaned_by=policy.clean_rates)
    quotas = LimitsField(cleaned_by=policy.clean_quotas)
    audiences = ResourcesField()
    resource = ResourceField()
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
            "rates",
            "quotas",
            "is_active",
            "audiences",
            "resource",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        client = options.get("instance")
        if client is not None:
            options["initial"] = {
                **claims.shown(client.claims),
                **(options.get("initial") or {}),
                "owner": client.owner,
                "seen": self.fingerprint_of(client),
                "max_key_lifetime": client.max_key_lifetime and client.max_key_lifetime.days,
            }
        super().__init__(*args, **options)
        self.claims: dict[str, Any] = {}
        for name, label, text in (
            ("name", _("Name"), ""),
            ("description", _("Description"), ""),
            ("owner", _("Owner of record"), _("The person who answers for this client. Type a user name.")),
            ("allowed_scopes", _("Permissions it may hold"), _("No key of this client can do more.")),
            ("max_key_lifetime", _("Longest life of a key, in days"), _("Leave empty for the site's own limit.")),
            ("allowed_networks", _("Restrict to IP addresses"), _("Leave empty for any address. One network a line.")),
            (
                "rates",
                _("Rates of each key"),
                _("How fast each key with its replacements may be used: one a line, such as 600/min or 20/s."),
            ),
            (
                "quotas",
                _("Quotas of each key"),
                _("How much by the calendar: one a line, such as 100000/month or 5000/day. Keys share none of it."),
            ),
            (
                "audiences",
                _("API servers that may know its keys"),
                _("Their addresses, one a line. Leave empty for this site alone."),
            ),
            (
                "resource",
                _("Address as an API server"),
                _(
                    "Only for a client that is one itself: what other clients name it by, such as https://api.example.com."
                ),
            ),
        ):
            self.fields[name].label = label
            self.fields[name].help_text = text
        claims.describe(self)
        if "resource" in self.fields:
            self.fields["resource"].error_messages["unique"] = _("Another client is the API server of this address.")
        self.fields["allowed_scopes"].widget.resources = self.permission_groups
        if "is_active" in self.fields:  # not where a person may only look
            self.fields["is_active"].help_text = self.switch_text()

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

    def clean_resource(self) -> str | None:
        had, chosen = self.initial.get("resource"), self.cleaned_data["resource"]
        if had and had != chosen:
            try:
                policy.refuse_named_resource(self.instance, resource=had)
            except errors.ResourceRefusedError as error:
                raise forms.ValidationError(str(error)) from error
        return chosen  # type: ignore[no-any-return]  # the field gives a text or None

    def clean_max_key_lifetime(self) -> timedelta | None:
        days = self.cleaned_data["max_key_lifetime"]
        return None if days is None else timedelta(days=days)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        seen = self.cleaned_data.get("seen")
        if self.instance.pk and seen and seen != self.fingerprint_of(self.instance):
            message = _("Somebody else changed this client since you opened the page. Open it again.")
            self.add_error(None, message)
        self._refuse_named_by_itself()
        if self.asks_for_claims and not self.errors:
            self.claims = claims.clean(self)
        if self.errors:
            hide_keys(self)
        return cleaned

    def _refuse_named_by_itself(self) -> None:
        """Have the page say it where the client gives up an address by which it goes on naming itself."""
        had = self.initial.get("resource")
        if had and had != self.cleaned_data.get("resource", had):
            try:
                policy.require_servers(self.cleaned_data.get("audiences", ()), without=had)
            except errors.ResourceRefusedError as error:
                self.add_error("audiences", str(error))

    def changes_claims(self) -> bool:
        """Whether other claims were filled in than those that count now. What counts no more stays where it is."""
        before = counting(declared_claims(), self.instance.claims)
        return self.asks_for_claims and self.claims != before

    def fingerprint_of(self, client: Client) -> str:
        """Return a text that differs wherever anything that this form shows of *client* does."""
        return fingerprint(client)

    def switch_text(self) -> str:
        """Return what stops where the client is switched off; empty for a client that is not there yet."""
        if self.instance.pk is None:
            return ""
        count = self.instance.keys.working().count()
        text = _(
            "Disabling it stops its working keys: %(count)d. %(takes_effect)s They come back if you enable it again."
        )
        return text % {"count": count, "takes_effect": takes_effect()}
