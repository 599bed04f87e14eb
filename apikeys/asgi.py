"""For ASGI servers: what is counted is written before they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async

from . import usage

#: Of scope, receive and send, whose types each framework writes otherwise.
Application = Callable[[Any, Any, Any], Awaitable[None]]


def flush_on_shutdown(application: Application) -> Application:
    """
    Return *application*, Django's, so that it writes usage and gives quotas back when its server shuts down.

    Uvicorn ends itself by the signal that it was sent, so that nothing which Python calls at exit runs. Django does
    not take part in the lifespan protocol; where something around it does, that calls ``usage.shut_down`` instead.
    """

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return serve


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            # In a thread of its own: no request is left that could need the one they share.
            await sync_to_async(usage.shut_down, thread_sensitive=False)()
            await send({"type": "lifespan.shutdown.complete"})
            return
