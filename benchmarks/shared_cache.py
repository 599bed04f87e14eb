"""What a run leaves in the cache that processes share."""

from __future__ import annotations

from .environment import Environment


def clear(environment: Environment) -> None:
    """Delete what the processes of this run put there, and nothing else."""
    if not environment.redis_url:
        return
    import redis

    with redis.from_url(environment.redis_url) as client:
        for name in client.scan_iter(match=f"*{environment.run}*", count=1000):
            client.delete(name)
