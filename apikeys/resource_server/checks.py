"""System checks of API servers: whom they believe, who they are, what they know of revocations. Nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from rest_framework.settings import DEFAULTS, api_settings

from ..checks import RULES, TAG
from ..checks import settings as settings_checks  # noqa: F401  # it registers its own, which need no models
from ..conf import settings
from ..drf.endpoints import endpoints

_HERE = "apikeys.resource_server"
_INTROSPECTING = f"{_HERE}.introspecting"
_SIGNED = f"{_HERE}.signed_tokens"
#: What each authentication can't do without, by its module, and what it is for.
_NEEDED = {
    _INTROSPECTING: ("ISSUER", "AUDIENCE", "AUTHORITY_KEY"),
    _SIGNED: ("ISSUER", "AUDIENCE"),
}
_MEANINGS = {
    "ISSUER": "the address that names the authority, as it has it in its own settings",
    "AUDIENCE": "the address that names this server, as the authority has it of this server's client",
    "AUTHORITY_KEY": "an API key of this server, with the scope apikeys:introspect",
}
_READ = (*_MEANINGS, "REVOCATIONS_POLL_INTERVAL", "REVOCATIONS_MAX_AGE")


@register(Tags.security, TAG)
def check_server(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find an API server that lacks what it verifies by (E018), or hears of revocations late or never (W219, W220)."""
    if any(RULES[name](value) for name, value in settings.given().items() if name in _READ):
        return []  # E001 says so
    used = _used()
    return [*_missing(used), *(_bounds() if _SIGNED in used else ())]


@register(TAG)
def check_unauthenticated_user(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find REST framework's class of nobody in a project without the app that it is of (W230)."""
    # Not the class itself: to import it is what fails.
    default = DEFAULTS["UNAUTHENTICATED_USER"]
    given = api_settings.user_settings.get("UNAUTHENTICATED_USER", default)
    if given != default or apps.is_installed("django.contrib.auth") or not _used():
        return []
    return [
        Warning(
            "Whoever sends no key or token gets a server error: REST_FRAMEWORK['UNAUTHENTICATED_USER'] is a class of "
            "django.contrib.auth, which is not installed.",
            hint='Set REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}.',
            id="apikeys.W230",
        )
    ]


@register(Tags.security, TAG, deploy=True)
def check_kept_answers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find what makes a revocation late where the authority is asked: its answers are kept (W221)."""
    kept: Any = settings.INTROSPECTION_CACHE
    if not isinstance(kept, timedelta) or not kept or _INTROSPECTING not in _used():
        return []
    return [
        Warning(
            f"A revocation reaches this server within {kept.total_seconds():g} seconds, not at once: "
            "APIKEYS['INTROSPECTION_CACHE'] is above zero.",
            hint="Silence it if that is meant. What was active goes on for so long, also while the authority is down.",
            id="apikeys.W221",
        )
    ]


def _used() -> set[str]:
    """Return the modules of the authentications here that some view has, itself or a subclass."""
    listed = [item for endpoint in endpoints() for item in endpoint.listed("authentication_classes") or ()]
    bases = {base.__module__ for item in listed for base in getattr(item, "__mro__", ())}
    return bases & set(_NEEDED)


def _missing(used: set[str]) -> Iterator[CheckMessage]:
    for name, meaning in _MEANINGS.items():
        places = sorted(place for place in used if name in _NEEDED[place])
        if places and not getattr(settings, name):
            yield Error(
                f"A view takes what {places[0]} verifies, but APIKEYS[{name!r}] is empty: nobody gets in.",
                hint=f"Set it to {meaning}.",
                id="apikeys.E018",
            )


def _bounds() -> Iterator[CheckMessage]:
    interval, most = settings.REVOCATIONS_POLL_INTERVAL, settings.REVOCATIONS_MAX_AGE
    lacking = "REVOCATIONS_POLL_INTERVAL" if interval is None else "" if settings.AUTHORITY_KEY else "AUTHORITY_KEY"
    if lacking and most is not None:
        yield Error(
            f"APIKEYS['REVOCATIONS_MAX_AGE'] is {most}, but without APIKEYS[{lacking!r}] there is no revocation list: "
            "every signed token is refused.",
            hint=f"Set APIKEYS[{lacking!r}], or take REVOCATIONS_MAX_AGE away.",
            id="apikeys.E018",
        )
    elif lacking:
        yield Warning(
            f"Signed tokens count to their end, whatever is revoked: APIKEYS[{lacking!r}] is not set, so that this "
            "server has no revocation list.",
            hint="Give this server a key with apikeys:introspect as AUTHORITY_KEY and leave REVOCATIONS_POLL_INTERVAL "
            "as it is. Silence this where the life of a token is short enough.",
            id="apikeys.W219",
        )
    elif most is not None and interval is not None and most < interval:
        yield Warning(
            f"The revocation list is fetched every {interval} and may be {most} old: between two fetches signed tokens "
            "are refused.",
            hint="Raise APIKEYS['REVOCATIONS_MAX_AGE'] to several times REVOCATIONS_POLL_INTERVAL.",
            id="apikeys.W220",
        )
