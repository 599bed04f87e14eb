"""What requests cost besides time: queries, writes, slow hashes, model instances. Never while they are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import argon2
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_init

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE")


@dataclass(kw_only=True)
class Counts:
    """How many of each there were."""

    queries: int = 0
    writes: int = 0
    hashes: int = 0
    instances: int = 0


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what happens in this process, on every thread."""
    counts = Counts()

    def count_query(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        counts.queries += 1
        counts.writes += sql.lstrip().upper().startswith(_WRITES)
        return execute(sql, params, many, context)

    def watch(connection: Any, **kwargs: object) -> None:
        if count_query not in connection.execute_wrappers:
            connection.execute_wrappers.append(count_query)

    def count_instance(**kwargs: object) -> None:
        counts.instances += 1

    def counting_verify(hasher: argon2.PasswordHasher, stored: str | bytes, secret: str | bytes) -> Any:
        counts.hashes += 1
        return verify(hasher, stored, secret)

    def counting_hash(hasher: argon2.PasswordHasher, *args: Any, **kwargs: Any) -> str:
        counts.hashes += 1
        return make(hasher, *args, **kwargs)

    verify, make = argon2.PasswordHasher.verify, argon2.PasswordHasher.hash
    connection_created.connect(watch)
    post_init.connect(count_instance)
    for connection in connections.all(initialized_only=True):
        watch(connection)
    argon2.PasswordHasher.verify = counting_verify  # type: ignore[method-assign, assignment]
    argon2.PasswordHasher.hash = counting_hash  # type: ignore[method-assign, assignment]
    try:
        yield counts
    finally:
        argon2.PasswordHasher.verify = verify  # type: ignore[method-assign]
        argon2.PasswordHasher.hash = make  # type: ignore[method-assign]
        post_init.disconnect(count_instance)
        connection_created.disconnect(watch)
        for connection in connections.all(initialized_only=True):
            if count_query in connection.execute_wrappers:
                connection.execute_wrappers.remove(count_query)
