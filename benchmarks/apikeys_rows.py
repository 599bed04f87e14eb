"""Keys of ``apikeys``: the special ones through the front door, the others by the million."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Max
from django.db.models.functions import Mod
from django.utils import timezone

from apikeys import clients, keys, tag_secrets
from apikeys.core import keyformat
from apikeys.core.verifiers import Argon2idHasher
from apikeys.models import APIKey, Client, KeyRevocation, RevocationReason

from . import bulk
from .contender import Credentials

_SCOPE = "todo:read"
_NETWORKS = ["192.0.2.0/24", "127.0.0.0/8"]
#: How many keys share a client, and a person.
_KEYS_EACH = 100
#: One in so many of the keys that nobody holds is revoked.
_REVOKED_ONE_IN = 50
_BATCH = 5000
#: Keys that need not be as many as those in use.
_SOME = 500
#: Keys hashed at the real cost, which takes seconds.
_SLOW = 101


def fill(*, rows: int, sent: int, argon2: Mapping[str, int]) -> Credentials:
    """Make *rows* keys and some more; *sent* of them, at random places, are real, hashed at the cost of *argon2*."""
    special = _special_keys(sent=sent)
    numbers = range(max(rows // _KEYS_EACH, 1))
    people = User.objects.bulk_create((User(username=f"person{number}") for number in numbers), _BATCH)
    holders = Client.objects.bulk_create(
        (Client(name=f"Client {number}", allowed_scopes=[_SCOPE]) for number in numbers), _BATCH
    )
    special_pks = APIKey.objects.aggregate(last=Max("pk"))
    texts = [keyformat.generate(prefix="ak", mode="live") for _ in range(sent + min(sent, _SOME))]
    hasher = Argon2idHasher(argon2)
    more = max(rows, len(texts))
    places = random.sample(range(more), len(texts))
    # As if each were used many times a minute: then one use in a minute is written down and the others are not. What a
    # use costs that is written down has a contender of its own.
    not_due = timezone.now() + timedelta(days=3650)
    bulk.insert(
        like=APIKey.objects.get(key_id=special["hot"][0].split("_")[2]),
        rows=more,
        held={
            place: bulk.HeldKey(key_id=text.key_id, verifier=hasher.hash(text.body), last_used_at=not_due)
            for place, text in zip(places, texts, strict=True)
        },
        client_ids=[holder.pk for holder in holders],
        owner_ids=[person.pk for person in people],
    )
    _revoke_some(after=special_pks["last"])
    tag_secret = tag_secrets.newest()
    plaintexts = [text.tagged(tag_secret) for text in texts]
    used = {"distinct": plaintexts[:sent], "fleeting": plaintexts[sent:]}
    credentials = special | used | _unwanted(texts[:sent])
    return {name: [f"Bearer {text}" for text in found] for name, found in credentials.items()}


def _revoke_some(*, after: int) -> None:
    nobodys = APIKey.objects.filter(pk__gt=after, last_used_at=None).annotate(number=Mod("pk", _REVOKED_ONE_IN))
    pks = nobodys.filter(number=0).order_by("pk").values_list("pk", flat=True)
    KeyRevocation.objects.bulk_create((KeyRevocation(key_id=pk, reason=RevocationReason.OTHER) for pk in pks), _BATCH)


def forget_uses(credentials: Sequence[str]) -> None:
    """Make the keys of *credentials* look unused, so that the next use of each is written down."""
    key_ids = [credential.split("_")[2] for credential in credentials]
    APIKey.objects.filter(key_id__in=key_ids).update(last_used_at=None)


def _special_keys(*, sent: int) -> dict[str, list[str]]:
    person = User.objects.create(username="person")
    client = clients.create(name="Client", allowed_scopes=[_SCOPE])
    guarded = clients.create(name="Guarded client", allowed_scopes=[_SCOPE], allowed_networks=_NETWORKS)
    hot = keys.issue(client, name="hot", scopes=_SCOPE, owner=person)
    service = keys.issue(client, name="service", scopes=_SCOPE)
    networks = keys.issue(guarded, name="networks", scopes=_SCOPE, owner=person, allowed_networks=_NETWORKS)
    revoked = keys.issue(client, name="revoked", scopes=_SCOPE, owner=person)
    keys.revoke(revoked.key, reason=RevocationReason.OTHER)
    expired = keys.issue(client, name="expired", scopes=_SCOPE, owner=person)
    APIKey.objects.filter(pk=expired.key.pk).update(expires_at=timezone.now() - timedelta(days=1))
    slow = [keys.issue(client, name=f"slow {number}", scopes=_SCOPE).plaintext for number in range(min(sent, _SLOW))]
    return {
        "slow": slow,
        "hot": [hot.plaintext],
        "service": [service.plaintext],
        "networks": [networks.plaintext],
        "revoked": [revoked.plaintext],
        "expired": [expired.plaintext],
    }


def _unwanted(texts: Sequence[keyformat.UntaggedKey]) -> dict[str, list[str]]:
    """Return keys that must die on their tag."""
    # No key here was ever tagged by this secret.
    stranger = keyformat.new_tag_secret()
    mine = tag_secrets.newest()
    some = texts[:_SOME]
    made_up = [keyformat.generate(prefix="ak", mode="live") for _ in some]
    return {
        "forged": [text.tagged(stranger) for text in made_up],
        "mistyped": [_mistyped(text.tagged(mine)) for text in some],
        "other secret": [
            keyformat.UntaggedKey(
                key_id=text.key_id, body=text.body[: -keyformat.SECRET_LENGTH] + other.body[-keyformat.SECRET_LENGTH :]
            ).tagged(stranger)
            for text, other in zip(some, made_up, strict=True)
        ],
    }


def _mistyped(plaintext: str) -> str:
    # Within the secret, never in the key id.
    place = len(plaintext) - keyformat.TAG_LENGTH - 1 - secrets.randbelow(keyformat.SECRET_LENGTH)
    letter = "b" if plaintext[place] == "a" else "a"
    return plaintext[:place] + letter + plaintext[place + 1 :]
