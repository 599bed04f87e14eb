from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:
    from django.db.backends.postgresql.operations import DatabaseOperations

    from apikeys.testing import WorkerProcesses

IN_CI = os.environ.get("CI") == "true"

# How long an example takes says how busy the machine is. Where CI is set, Hypothesis knows by itself.
if not IN_CI:
    hypothesis_settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    hypothesis_settings.load_profile("busy")


def chromium() -> str | None:
    """Return the path of this machine's Chromium, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def promised_servers() -> list[tuple[str, str, int]]:
    """Return name, host and port of each server that the environment chose for this run."""
    servers = []
    default = settings.DATABASES["default"]
    # A path instead of a host is a socket on this machine, which answers for itself when Django connects.
    if default.get("HOST") and not default["HOST"].startswith("/"):
        name = {"postgres": "PostgreSQL", "mariadb": "MariaDB"}[os.environ["APIKEYS_TEST_DATABASE"]]
        servers.append((name, default["HOST"], default["PORT"]))
    if "APIKEYS_TEST_REDIS_URL" in os.environ:
        address = urlsplit(os.environ["APIKEYS_TEST_REDIS_URL"])
        servers.append(("Redis", address.hostname or "127.0.0.1", address.port or 6379))
    return servers


def pytest_sessionstart(session: pytest.Session) -> None:
    for name, host, port in promised_servers():
        try:
            socket.create_connection((host, port), timeout=3).close()
        except OSError as error:
            pytest.exit(f"{name} was chosen for this run, but {host}:{port} does not answer: {error}", returncode=1)


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which would reach for what is missing
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("postgres") and not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        pytest.skip("needs PostgreSQL: set APIKEYS_TEST_DATABASE=postgres")
    if item.get_closest_marker("redis") and "APIKEYS_TEST_REDIS_URL" not in os.environ:
        pytest.skip("needs Redis: set APIKEYS_TEST_REDIS_URL")
    if item.get_closest_marker("browser") and chromium() is None:
        if IN_CI:
            pytest.fail("CI promises Chromium, but none is installed", pytrace=False)
        pytest.skip("needs Chromium")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Return the path to launch Chromium from; only for tests marked ``browser``."""
    path = chromium()
    assert path is not None
    return path


@pytest.fixture(scope="session", autouse=True)
def _tables_emptied_by_delete() -> Iterator[None]:
    # Django's TRUNCATE gives each table of PostgreSQL new files and waits for the disk: near a second for every test
    # that commits. These tables hold a few rows.
    def deletes(operations: DatabaseOperations, style: object, tables: list[str], **options: bool) -> list[str]:
        # Foreign keys are checked at the commit.
        return [f"DELETE FROM {operations.quote_name(table)}" for table in tables]  # noqa: S608  # Django's own names

    with pytest.MonkeyPatch.context() as patch:
        if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
            from django.db.backends.postgresql.operations import DatabaseOperations  # noqa: PLC0415  # needs psycopg

            patch.setattr(DatabaseOperations, "sql_flush", deletes)
        yield


@pytest.fixture(autouse=True)
def _no_width_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    # xdist tells its workers how wide its own terminal is, which would win over a test's.
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def eight_processes(django_db_setup: None) -> Iterator[WorkerProcesses]:
    """Eight processes that serve this project on the tests' database, started once."""
    from apikeys.testing import WorkerProcesses  # noqa: PLC0415  # once there are settings

    with WorkerProcesses(8) as processes:
        yield processes
