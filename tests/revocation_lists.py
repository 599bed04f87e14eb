"""What the tests of the revocation list make lists of, and a token that these may concern."""

from __future__ import annotations

from apikeys.signed import tokens
from apikeys.signed.revocations import Entry, RevocationList
from tests.token_cases import AUDIENCE, ISSUER, NOW

AT = int(NOW.timestamp())
WINDOW = 660
TOKEN = tokens.SignedToken(
    issuer=ISSUER,
    audience=AUDIENCE,
    subject="user:7",
    client_id="client-1",
    issued_at=AT,
    expires_at=AT + 600,
    jti="01J",
    scopes=("widgets:read", "widgets:write"),
    key_id="4Qm9ZtR1xVb7",
    family="4Qm9ZtR1xVb7",
    networks=(),
    claims={},
)


def entry(kind, subject, value=None, *, sequence=1, at=AT):
    return Entry(sequence=sequence, at=at, kind=kind, subject=subject, value=value)


def listed(*entries, issued_at=AT, since=0, following=0, owners=(), gone=()):
    return RevocationList(
        issuer=ISSUER,
        audience=AUDIENCE,
        issued_at=issued_at,
        since=since,
        next=following,
        window_seconds=WINDOW,
        entries=entries,
        owners=tuple(owners),
        keys=tuple(gone),
    )
