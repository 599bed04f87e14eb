"""Signing keys, made and looked at as operators and API servers do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client, override_settings

from apikeys.authority.models import SigningKey
from apikeys.authority.signing import published_keys, signing_key
from apikeys.conf import DEFAULTS, settings
from tests.commands import Result, run

#: When the first key is made, in the tests that move the clock.
NOW = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
LIFETIME: timedelta = DEFAULTS["SIGNING_KEY_LIFETIME"]
AHEAD: timedelta = DEFAULTS["SIGNING_KEY_PUBLISHED_AHEAD"]
#: How long a key is published after its turn, with the settings' defaults.
KEPT: timedelta = DEFAULTS["SIGNED_TOKEN_LIFETIME"] + DEFAULTS["CLOCK_LEEWAY"] + DEFAULTS["JWKS_MAX_AGE"]
INSTANT = timedelta(microseconds=1)

SECRET = "QxIjzb6ZqoIivhvoJv4d_oLd78iLPeSSTSZv7vKFoU0="
OTHER_SECRET = "bm90LXRoZS1vbmUtdGhhdC10aGUtdGVzdHMtdXNlLi4="


def rotate(*options: str, **where: Any) -> Result:
    """Run ``rotate_signing_key``."""
    return run("rotate_signing_key", *options, **where)


def kids() -> list[str]:
    """Return the ids of the stored keys in the order in which they sign."""
    return list(SigningKey.objects.values_list("kid", flat=True))


def signer(now: datetime) -> str:
    """Return the id of the key that signs at *now*."""
    return signing_key(now=now).kid


def published(now: datetime) -> frozenset[str]:
    """Return the ids of the keys that tokens are checked with at *now*."""
    return published_keys(now=now).kids


def served() -> list[dict[str, str]]:
    """Return what ``jwks.json`` says."""
    keys: list[dict[str, str]] = Client().get("/authority/jwks.json", secure=True).json()["keys"]
    return keys


def with_settings(**changed: Any) -> override_settings:
    """Return the settings with *changed* ones, for a ``with``."""
    return override_settings(APIKEYS={**settings.given(), **changed})


def pem() -> str:
    """Return a new private key as operators give it."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )
