"""What a run ran on."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path

from .contender import Package
from .environment import Environment

_ALWAYS = ("Django", "djangorestframework", "argon2-cffi", "gunicorn")


def machine() -> dict[str, str]:
    """Return the processor, its cores and the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": _processor(), "cores": str(cores), "system": _system(), "kernel": platform.release()}


def versions(environment: Environment, packages: Iterable[Package]) -> dict[str, str]:
    """Return the versions of Python, of everything measured and of the servers."""
    names = [*_ALWAYS, *(package.distribution for package in packages if package.distribution)]
    if environment.database == "postgres":
        names.append("psycopg")
    found = {"Python": platform.python_version(), **_installed(names)}
    if environment.database == "sqlite":
        found["SQLite"] = sqlite3.sqlite_version
    else:
        found["PostgreSQL"] = _postgres(environment)
    if environment.redis_url:
        found["Redis"] = _redis(environment.redis_url)
    return found


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        # What serves over HTTP is not needed without.
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _postgres(environment: Environment) -> str:
    from . import databases

    with closing(databases.connect(databases.entry(environment, package="unauthenticated"))) as connection:
        version = connection.info.server_version
    return f"{version // 10000}.{version % 10000}"


def _redis(url: str) -> str:
    import redis

    with redis.from_url(url) as client:
        return str(client.info("server")["redis_version"])
