"""Where each package has its tables: a database of its own, on this machine by default."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from .environment import SENT_KEYS, Environment


def entry(environment: Environment, *, package: str) -> dict[str, Any]:
    """Return the ``DATABASES`` entry of *package*. A server is found as in the settings of the test suite."""
    if environment.database == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": environment.directory / f"{_name(environment, package)}.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
            },
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": f"{os.environ.get('APIKEYS_TEST_DATABASE_NAME', 'apikeys')}_benchmark_{_name(environment, package)}",
        "HOST": os.environ.get("APIKEYS_TEST_DATABASE_HOST", "127.0.0.1"),
        "PORT": int(os.environ.get("APIKEYS_TEST_DATABASE_PORT", "5432")),
        "USER": os.environ.get("APIKEYS_TEST_DATABASE_USER", "postgres"),
        "PASSWORD": os.environ.get("APIKEYS_TEST_DATABASE_PASSWORD", ""),
    }


def _name(environment: Environment, package: str) -> str:
    return package if environment.keys == SENT_KEYS else f"{package}_{environment.keys}"


def make(settings: dict[str, Any], *, afresh: bool) -> None:
    """Make the database of *settings*; where it exists, drop it first if it is to be made *afresh*."""
    if settings["ENGINE"].endswith("sqlite3"):
        if afresh:
            for suffix in ("", "-wal", "-shm"):
                settings["NAME"].with_name(settings["NAME"].name + suffix).unlink(missing_ok=True)
        return
    from psycopg import sql

    name = sql.Identifier(settings["NAME"])
    with closing(connect(settings)) as connection:
        if afresh:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [settings["NAME"]]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def connect(settings: dict[str, Any]) -> Any:
    """Return a connection to the server of *settings*, whose database need not exist."""
    import psycopg

    return psycopg.connect(
        dbname="postgres",
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        autocommit=True,
    )
