"""A second database beside the tests' own, and routers that use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connections

from apikeys.models import APIKey, Client, KeyRevocation, TagSecret

#: What a request needs, in the order in which rows refer to each other.
MODELS: list[Any] = [get_user_model(), Client, APIKey, KeyRevocation, TagSecret]


class ReplicaRouter:
    """Reads from ``second``, writes to ``default``."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "second"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


class SecondRouter(ReplicaRouter):
    """Reads and writes in ``second``."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "second"


@contextmanager
def second_database(directory: Path, **settings: Any) -> Iterator[None]:
    """Add the database ``second``, with the tables of the tests' own and no row."""
    # Nothing here need survive the test.
    options = {"init_command": "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY"}
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "second.sqlite3", "OPTIONS": options}
    entry |= settings
    connections.settings["second"] = connections.configure_settings({"default": {}, "second": entry})["second"]
    connection: Any = connections["second"]
    # By hand: a test case lets nobody open a database that it was not told of.
    connection.connect()
    try:
        with connection.schema_editor() as editor:
            for model in apps.get_models():
                editor.create_model(model)
        yield
    finally:
        connection.close()
        del connections["second"]
        del connections.settings["second"]


def replicate() -> None:
    """Copy to ``second`` what ``default`` has now."""
    for model in MODELS:
        for row in model._default_manager.using("default").order_by("pk"):
            row.save(using="second")
