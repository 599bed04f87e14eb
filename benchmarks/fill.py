"""
Make one package's tables and keys: ``python -m benchmarks.fill``, told what to do by its environment.

The credentials are left in a file beside, for the processes that send them. They open nothing but these tables.
"""

from __future__ import annotations

import json
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from . import contenders, databases
from .contender import Credentials, Package
from .environment import SENT_KEYS, Environment

#: A database with more keys than this is kept for the next run.
_WORTH_KEEPING = 100_000


def credentials_file(environment: Environment, package: Package) -> Path:
    """Return where the credentials of *package* are."""
    return environment.directory / f"{environment.database}-{package.name}-{environment.keys}.json"


def read_credentials(environment: Environment, package: Package) -> Credentials:
    """Return what ``fill`` made."""
    credentials: Credentials = json.loads(credentials_file(environment, package).read_text())
    return credentials


def main() -> None:
    """Fill the tables, unless they are full and took long."""
    django.setup()
    environment = Environment.of_process()
    package, _ = contenders.find(environment.contender)
    file = credentials_file(environment, package)
    if _is_filled(package, file, rows=environment.keys):
        return
    file.unlink(missing_ok=True)
    databases.make(settings.DATABASES["default"], afresh=True)
    call_command("migrate", verbosity=0, interactive=False)
    credentials = package.fill(rows=environment.keys, sent=min(SENT_KEYS, environment.keys))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # What the server would do by itself some time, in the middle of the rounds.
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("ANALYZE")
    connection.close()
    file.write_text(json.dumps(credentials))


def _is_filled(package: Package, file: Path, *, rows: int) -> bool:
    if rows <= _WORTH_KEEPING or not file.exists():
        return False
    databases.make(settings.DATABASES["default"], afresh=False)
    try:
        # Tables of an older version get what they lack.
        call_command("migrate", verbosity=0, interactive=False)
        count = package.count_rows()
        return count is not None and count >= rows
    finally:
        connection.close()


if __name__ == "__main__":
    main()
