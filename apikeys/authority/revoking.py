"""How a client ends what is its own, with nothing but the text of it (RFC 7009)."""

from __future__ import annotations

from datetime import datetime

from django.apps import apps
from django.db import router
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from .. import events, keys, verification
from ..conf import settings
from ..core.errors import AlreadyRevokedError, APIKeysError, CredentialError
from ..core.networks import Address
from ..core.principals import Principal
from ..models import APIKey, Client, EventKind, KeyEvent, RevocationReason
from ..signed import tokens
from ..signed.jws import payload_of
from . import rows, signing
from .issuer import issuer
from .revocation_list import longest_use
from .texts import claims_to_be_key, claims_to_be_signed

#: While they are in the revocation list: of one client, and for one API server. Without limits who exchanges and gives
#: up all day would make a list longer than any API server reads, and nothing would be revoked for anybody.
MOST_TOKENS = 5000
MOST_TOKENS_OF_SERVER = 20_000
#: So many of each client, for one API server, are taken however many others gave up: or a few clients that use up what
#: the server may hear would leave nobody else a way to end a token.
SHARE_OF_CLIENT = 100


class TooManyTokensError(APIKeysError):
    """So many tokens were given up lately that only keys can be given up, until some of them have run out."""

    code = "too_many_tokens"
    retry_after_seconds = 60


@sensitive_variables("text")
def end(text: str, *, caller: Principal, address: Address | None, now: datetime) -> None:
    """
    End the key or token *text* if it is of the client of *caller*; signed tokens of a key end with it.

    Anything else stays as it is: what is unknown, of another client, or ended before. A key is known by all of its
    text, since its id alone is no secret.

    Raises:
        TooManyHashesError: If nobody can tell now whether it is genuine.
        NoSigningKeyError: Likewise of a token.
        TooManyTokensError: If too many tokens of the client, or of its API server, were given up.
    """
    if claims_to_be_key(text):
        _end_key(text, caller=caller, address=address)
    elif claims_to_be_signed(text):
        _end_token(text, caller=caller, address=address, now=now)
    elif apps.is_installed("apikeys.oauth"):
        from ..oauth import ending  # noqa: PLC0415  # where it is installed

        ending.end_presented(text, client_id=caller.client_id)


@sensitive_variables("text")
def _end_key(text: str, *, caller: Principal, address: Address | None) -> None:
    found = verification.find_genuine(text, alias=rows.database())
    if found is None or found.client_id != caller.client_id:
        return
    key = APIKey.objects.using(rows.database()).get(pk=found.key_pk)
    note = f"Given up by its client, with key {caller.key_id}."
    told = None if address is None else str(address)
    try:
        keys.revoke(key, reason=RevocationReason.OTHER, note=note, source="request", address=told)
    except AlreadyRevokedError:
        return


@sensitive_variables("text")
def _end_token(text: str, *, caller: Principal, address: Address | None, now: datetime) -> None:
    # For whichever API server it is: whose it is decides.
    audience = (payload_of(text) or {}).get("aud")
    if not isinstance(audience, str):
        return
    try:
        token = tokens.verify(
            text,
            keys=signing.published_keys(now=now),
            issuer=issuer(),
            audience=audience,
            now=now,
            # For as long as an API server may believe it.
            leeway=settings.CLOCK_LEEWAY,
        )
    except CredentialError:
        return
    key = APIKey.objects.using(rows.database()).select_related("client").filter(key_id=token.key_id).first()
    if key is None or not (token.client_id == key.client.client_id == caller.client_id):
        return
    if not rows.is_revoked(token.jti):
        _require_room(key.client, audience=token.audience, now=now)
    events.record_first(
        EventKind.TOKEN_REVOKED,
        once=rows.once_of(token.jti),
        at=now,
        key=key,
        address=None if address is None else str(address),
        details={"jti": token.jti, "exp": token.expires_at, "aud": token.audience},
    )


def _require_room(client: Client, *, audience: str, now: datetime) -> None:
    given_up = KeyEvent.objects.using(router.db_for_write(KeyEvent)).filter(
        kind=EventKind.TOKEN_REVOKED, at__gt=now - longest_use(now=now)
    )
    of_client, of_server = given_up.filter(client=client), given_up.filter(details__aud=audience)
    if _has(of_client, MOST_TOKENS):
        raise TooManyTokensError
    if _has(of_server, MOST_TOKENS_OF_SERVER) and _has(of_server.filter(client=client), SHARE_OF_CLIENT):
        raise TooManyTokensError


def _has(events: QuerySet[KeyEvent], number: int) -> bool:
    return events[:number].count() >= number
