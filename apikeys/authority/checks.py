"""System checks of the authority: its name, where it answers, what it signs with. None runs a query."""

from __future__ import annotations

import re
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.urls import NoReverseMatch, reverse

from ..checks import RULES, TAG
from ..conf import settings
from .issuer import issuer_path
from .signing import read_each

#: What may stand in an address (RFC 3986 section 2); ``urlsplit`` drops some of the rest without a word.
_ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@register(Tags.security, TAG)
def check_issuer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find an authority without a name, with one that can't be used, or that answers elsewhere (E017, W222)."""
    name: Any = settings.ISSUER
    if not name:
        text = "apikeys.authority is installed, but APIKEYS['ISSUER'] is empty: nothing can be signed in nobody's name."
        hint = "Set it to the address that the authority's URLs are at, such as 'https://auth.example.com/authority'."
        return [Error(text, hint=hint, id="apikeys.E017")]
    if not _is_readable("ISSUER"):
        return []
    if not _ADDRESS.fullmatch(name):
        text = f"APIKEYS['ISSUER'] is {name!r}, which holds what no address can."
        hint = "Servers compare it letter by letter. Write other letters as %XX, and a host's name in Punycode."
        return [Error(text, hint=hint, id="apikeys.E017")]
    return _misplaced(name)


@register(Tags.security, TAG)
def check_signing_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find signing keys that can't be used (E020), and too little time to get to know new ones (E019)."""
    messages: list[CheckMessage] = []
    if _is_readable("SIGNING_KEYS"):
        messages += [
            Error(
                problem,
                hint="Give a private key in PEM or as a JWK: P-256, Ed25519, or RSA from 2048 bits on.",
                id="apikeys.E020",
            )
            for problem in read_each(settings.SIGNING_KEYS)[1]
        ]
    if settings.SIGNING_KEYS or not _is_readable("SIGNING_KEY_PUBLISHED_AHEAD", "JWKS_MAX_AGE"):
        return messages
    ahead, kept = settings.SIGNING_KEY_PUBLISHED_AHEAD, settings.JWKS_MAX_AGE
    if ahead < kept:
        text = (
            f"APIKEYS['SIGNING_KEY_PUBLISHED_AHEAD'] is {ahead}, but anybody may keep the published keys for {kept}: "
            "the first tokens of a new key would be refused."
        )
        hint = "Publish a new key for longer than APIKEYS['JWKS_MAX_AGE'] before it signs."
        messages.append(Error(text, hint=hint, id="apikeys.E019"))
    return messages


@register(Tags.security, TAG, deploy=True)
def check_something_signs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find an authority that can sign nothing (W218)."""
    if settings.SIGNING_KEYS or settings.SIGNING_KEY_SECRETS:
        return []
    text = "There is nothing to sign tokens with: APIKEYS has neither SIGNING_KEYS nor SIGNING_KEY_SECRETS."
    hint = (
        "Set SIGNING_KEY_SECRETS to [Fernet.generate_key().decode()], made once and kept secret, and run manage.py "
        "rotate_signing_key. Silence this where API servers only ask, and verify nothing themselves."
    )
    return [Warning(text, hint=hint, id="apikeys.W218")]


@register(Tags.security, TAG)
def check_one_issuer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find an OAuth app that calls the authority by another name than the metadata (W223)."""
    if not (apps.is_installed("apikeys.oauth") and settings.ISSUER):
        return []
    # Imported when it is there: it needs the toolkit.
    from ..oauth.metadata import named_issuer  # noqa: PLC0415

    if named_issuer() == settings.ISSUER:
        return []
    text = (
        f"Answers to authorization requests name {named_issuer() or 'the address of the OAuth URLs'} as the issuer, "
        f"but the metadata names {settings.ISSUER}: apps that compare both refuse (RFC 9207 section 2.4)."
    )
    hint = "Set OAUTH2_PROVIDER['OIDC_ISS_ENDPOINT'] to what APIKEYS['ISSUER'] is."
    return [Warning(text, hint=hint, id="apikeys.W223")]


def _is_readable(*names: str) -> bool:
    # E001 says so where one is not.
    given = settings.given()
    return all(RULES[name](given[name]) is None for name in names if name in given)


def _misplaced(name: str) -> list[CheckMessage]:
    try:
        path = reverse("apikeys_authority:jwks")
    except NoReverseMatch:
        text = "apikeys.authority.urls is not in the URL configuration, so that no API server can ask anything."
        hint = 'Add path("authority/", include("apikeys.authority.urls")).'
        return [Warning(text, hint=hint, id="apikeys.W222")]
    except Exception:  # noqa: BLE001  # the project's URL modules may fail in any way, and Django's own check tells how
        return []
    place = path.removesuffix("/jwks.json")
    # The server may put a prefix before it that is not known here (SCRIPT_NAME).
    if issuer_path().endswith(place):
        return []
    text = f"APIKEYS['ISSUER'] is {name!r}, but the authority's URLs are at {place}/: API servers join both."
    hint = f'Change one of them, such as path("{issuer_path().lstrip("/")}/", include("apikeys.authority.urls")).'
    return [Error(text, hint=hint, id="apikeys.E017")]
