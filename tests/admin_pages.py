"""Addresses of the admin's pages about keys, and what a person would fill in there."""

from __future__ import annotations

import re
import uuid
from html.parser import HTMLParser

LIST = "/admin/apikeys/apikey/"
ADD = f"{LIST}add/"
REVOKE_MANY = f"{LIST}revoke/"
CLIENTS = "/admin/apikeys/client/"
EVERYTHING = (
    "issue_apikey",
    "issue_apikey_for_others",
    "issue_service_apikey",
    "rotate_apikey",
    "revoke_apikey",
    "change_apikey",
    "view_apikey",
)
_WHOLE_KEY = re.compile(r"ak_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{51}")


def page_of(key, page="change"):
    return f"{LIST}{key.pk}/{page}/"


def issue_fields(**changed):
    """Return the issue form as filled in; None leaves a field out."""
    fields = {
        "name": "Nightly export",
        "client": "Web app",
        "acts_for": "person",
        "owner": "gilfoyle",
        "scopes": ["todo:read"],
        "expires": "90",
        "custom_date": "",
        "allowed_networks": "",
        "note": "",
        "form_id": str(uuid.uuid4()),
        **changed,
    }
    return {name: value for name, value in fields.items() if value is not None}


def rotate_fields(**changed):
    return {"overlap": "86400", "expires": "same", "custom_date": "", "form_id": str(uuid.uuid4()), **changed}


def keys_in(response):
    """Return the whole keys that the page shows."""
    return _WHOLE_KEY.findall(response.content.decode())


class _Controls(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        if tag in {"input", "textarea", "select", "button"}:
            self.found.append(dict(attrs))


def controls_in(response, **attributes):
    """Return the attributes of the page's form controls that have *attributes*."""
    parser = _Controls()
    parser.feed(response.content.decode())
    return [found for found in parser.found if all(found.get(name) == value for name, value in attributes.items())]


def control_in(response, **attributes):
    """Return the attributes of the page's one control that has *attributes*."""
    (found,) = controls_in(response, **attributes)
    return found


def errors_in(response, field):
    return [str(error) for error in response.context["form"].errors.get(field, [])]
