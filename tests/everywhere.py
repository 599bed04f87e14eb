"""Worker processes for tests, and the processes that this one has started."""

from __future__ import annotations

import os
from pathlib import Path


def children() -> dict[int, bytes]:
    """Return the command line and environment of each process that this one has started, as others can read them."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    pids = {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    return {pid: _readable(pid) for pid in pids}


def _readable(pid: int) -> bytes:
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
