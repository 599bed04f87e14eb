"""The demonstration's data and its home page, for the tests of both."""

from __future__ import annotations

import copy
import re
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.test import Client as Browser

from apikeys.models import APIKey, Client, KeyEvent, KeyRevocation
from example_project.todo import seed
from example_project.todo.models import Todo

A_KEY = re.compile(r"ak_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{51}")
_MODELS: list[type[Model]] = [get_user_model(), Todo, Client, APIKey, KeyRevocation, KeyEvent]
_seeded: list[list[Model]] = []


def fill() -> None:
    """Seed. That takes a third of a second: the first test does it, the others copy what it made."""
    if not _seeded:
        seed.seed()
        _seeded.extend(list(model._default_manager.order_by("pk")) for model in _MODELS)
        return
    for rows in _seeded:
        type(rows[0])._default_manager.bulk_create(copy.deepcopy(rows))


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
