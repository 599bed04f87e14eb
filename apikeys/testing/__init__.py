"""
What a project's own tests need: keys, a client that sends them, assertions, and processes that prove a revocation.

The pytest fixtures ``make_api_key`` and ``api_key_client`` come by themselves; see ``apikeys.testing.plugin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .assertions import assert_requires_scope as assert_requires_scope
    from .client import ApiKeyClient as ApiKeyClient
    from .leaks import assert_not_stored as assert_not_stored
    from .making import cheap_hashes as cheap_hashes
    from .making import counting_by_hand as counting_by_hand
    from .making import make_key as make_key
    from .worker_processes import WorkerProcesses as WorkerProcesses
    from .worker_processes import hammering as hammering

# pytest imports the plug-in, and with it this package, before a project has named its settings.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ApiKeyClient": "client",
        "WorkerProcesses": "worker_processes",
        "assert_not_stored": "leaks",
        "assert_requires_scope": "assertions",
        "cheap_hashes": "making",
        "counting_by_hand": "making",
        "hammering": "worker_processes",
        "make_key": "making",
    },
)
