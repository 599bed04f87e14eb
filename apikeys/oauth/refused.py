"""Events of what the protocol refused: one for each client, error and hour, and never with what was presented."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import router
from django.http import HttpRequest
from django.utils import timezone

from .. import events, request_parts
from ..core.credentials import RequestParts
from ..core.errors import CredentialError
from ..models import Client, EventKind
from . import rows

#: Answers to a device that asks too early: nothing went wrong.
POLLING = frozenset({"authorization_pending", "slow_down"})
#: The longest error code that an event names.
_MOST_CHARACTERS = 40
_MOST_ID_CHARACTERS = 100
#: As many as a UUID has.
_MOST_PK_CHARACTERS = 36


def record(error: str, *, client_id: str | None, request: HttpRequest) -> None:
    """
    Record that *request* was refused with *error*, a code of RFC 6749, unless the client has one in this hour.

    *client_id* is what the request says, proven or not: whoever guesses a client's secret is found with the client.
    """
    if error in POLLING:
        return
    parts = request_parts.read(request)
    _record(error[:_MOST_CHARACTERS], client=client_of(client_id), parts=parts, now=timezone.now())


def record_pair(error: CredentialError, *, parts: RequestParts, now: datetime) -> None:
    """Record, once in this hour, that the key of a client came with a token that *error* says is not for it."""
    clients = Client.objects.using(router.db_for_write(Client))
    _record(error.code, client=clients.filter(client_id=error.client_id).first(), parts=parts, now=now)


def record_user_code(error: str, *, request: HttpRequest) -> None:
    """Record that the person of *request* entered user codes which *error* refused, once in this hour."""
    parts, person, now = request_parts.read(request), request.user, timezone.now()
    events.record_first(
        EventKind.OAUTH_REFUSED,
        once=f"user_code:{error}:{_pk_of(person)}:{now:%Y%m%d%H}",
        at=now,
        by=person,
        address=None if parts.address is None else str(parts.address),
        details={"error": error},
    )


def record_replay(*, application: Any, user: Any, what: str, now: datetime) -> bool:
    """
    Record that a spent *what*, ``code`` or ``refresh_token``, of *user* came again and ended what it gave.

    Return whether it is the first one in this hour.
    """
    client = client_of(application.client_id)
    event = events.record_first(
        EventKind.TOKEN_REPLAYED,
        once=f"replay:{what}:{client.pk if client else ''}:{_pk_of(user) if user else ''}:{now:%Y%m%d%H}",
        at=now,
        client=client,
        by=user,
        details={"what": what},
    )
    return event is not None


def _record(name: str, *, client: Client | None, parts: RequestParts, now: datetime) -> None:
    events.record_first(
        EventKind.OAUTH_REFUSED,
        once=f"{client.client_id if client else ''}:oauth:{name}:{now:%Y%m%d%H}",
        at=now,
        client=client,
        address=None if parts.address is None else str(parts.address),
        details={"error": name},
    )


def _pk_of(person: Any) -> str:
    return str(person.pk)[:_MOST_PK_CHARACTERS]


def client_of(client_id: str | None) -> Client | None:
    """Return the client whose application has exactly *client_id*, active or not."""
    if not client_id or "\x00" in client_id or len(client_id) > _MOST_ID_CHARACTERS:
        return None
    link = rows.links().select_related("application").filter(application__client_id=client_id).first()
    # MariaDB compares without case.
    return link.client if link is not None and link.application.client_id == client_id else None
