"""Text fields that name a client or a person, looked up on the server: no page loads all of them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.translation import gettext as _

from ..models import Client


class ClientField(forms.CharField):
    """A client by its exact name or its client id."""

    def prepare_value(self, value: Any) -> Any:
        return value.name if isinstance(value, Client) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        found = list(Client.objects.filter(Q(name=text) | Q(client_id=text))[:2])
        # A client may be named as another's id. Databases may fold case, so the text itself decides.
        client = next((client for client in found if client.name == text), next(iter(found), None))
        if client is None:
            message = _("There is no client “%(text)s”. Type its exact name or its client id.")
            raise forms.ValidationError(message % {"text": text})
        return client


class PersonField(forms.CharField):
    """A person by user name."""

    def prepare_value(self, value: Any) -> Any:
        return value.get_username() if hasattr(value, "get_username") else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        users = get_user_model()
        person = users._default_manager.filter(**{users.USERNAME_FIELD: text}).first()
        if person is None:
            raise forms.ValidationError(_("There is no person with the user name “%(text)s”.") % {"text": text})
        return person

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)
