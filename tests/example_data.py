"""The demonstration's data and its home page, for the tests of both."""

from __future__ import annotations

import copy
import re
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.test import Client as Browser
from oauth2_provider.models import get_application_model

from apikeys.models import APIKey, Client, KeyEvent, KeyRevocation, LastUse, QuotaLedger, UsageCount
from apikeys.oauth.models import ClientApplication, Consent
from example_project import settings as example_settings
from example_project.todo import roles, seed
from example_project.todo.models import Todo

A_KEY = re.compile(r"ak_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{51}")
_CELL = re.compile(r"<td.*?>(.*?)</td>", re.DOTALL)
_TOLD = re.compile(r"<strong>(\d+)</strong>|lacks <code>(.*?)</code>")
_COLUMNS = 7
_MODELS: list[type[Model]] = [
    get_user_model(),
    Todo,
    Client,
    get_application_model(),
    ClientApplication,
    Consent,
    APIKey,
    KeyRevocation,
    KeyEvent,
    LastUse,
    QuotaLedger,
]
_seeded: list[list[Model]] = []


def as_the_example(settings: Any) -> None:
    """Let the tests' project be the demonstration: its scopes, which name permissions, its claims and pages."""
    settings.DEBUG = True
    settings.LOGIN_URL = example_settings.LOGIN_URL
    told = {name: example_settings.APIKEYS[name] for name in ("SCOPES", "CLAIMS")}
    settings.APIKEYS = {**settings.APIKEYS, **told}


def fill() -> None:
    """
    Seed. That takes a second: the first test does it, the others copy what it made.

    They get no counts of usage, which are most of it; ``seed_usage`` alone is told of in its own tests.
    """
    if not _seeded:
        seed.seed()
        UsageCount.objects.all().delete()
        _seeded.extend(list(model._default_manager.order_by("pk")) for model in _MODELS)
        return
    for rows in _seeded:
        type(rows[0])._default_manager.bulk_create(copy.deepcopy(rows))
    # Permissions have other ids once a test has emptied the database.
    roles.seed({user.username: user for user in get_user_model()._default_manager.all()})


def counts() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in _MODELS}


def person(name: str) -> Any:
    return get_user_model()._default_manager.get(username=name)


def ask_for_key(browser: Browser, *, app: str = "Web app", as_: str = "richard", **fields: str) -> Any:
    """Return the answer to the home page's form for a key."""
    return browser.post(f"/key/?as={as_}", {"app": app, "form_id": form_id(browser), **fields})


def form_id(browser: Browser) -> str:
    found = re.search(r'name="form_id" value="(.*?)"', browser.get("/").content.decode())
    assert found
    return found[1]


def key_on(response: Any) -> str:
    """Return the key that the page shows."""
    found = A_KEY.search(response.content.decode())
    assert found
    return found[0]


def cells_on(page: str) -> list[list[str]]:
    """Return the rows of the matrix on *page*: in each cell the status and, if one is, the missing permission."""
    cells = [" ".join(status or scope for status, scope in _TOLD.findall(cell)) for cell in _CELL.findall(page)]
    return [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
