"""A process that spends: ``python -m tests.spending_process FAMILY RATE HITS`` waits for a line, then says how many."""

from __future__ import annotations

import sys

import django


def main() -> None:
    django.setup()
    from tests.limited import admitted, caller  # noqa: PLC0415  # once there are settings

    family, rate, hits = sys.argv[1:]
    # The first one opens the connection, of somebody else's.
    admitted(caller(rate), hits=1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{admitted(caller(rate, family=family), hits=int(hits))}\n")


if __name__ == "__main__":
    main()
