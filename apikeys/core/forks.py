"""What a process renews when it is the child of a fork, such as a worker of gunicorn."""

from __future__ import annotations

import os
from collections.abc import Callable


def after_fork(renew: Callable[[], None]) -> None:
    """Call *renew* in each child of this process from now on; never where processes don't fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
