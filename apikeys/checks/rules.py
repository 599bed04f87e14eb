"""What each setting may be."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from ..conf import DEFAULTS
from ..conf.authority import SIGNING_ALGORITHMS
from ..core import keyformat, rates
from ..core.bearer import is_token68
from ..core.errors import RateSyntaxError
from ..core.networks import parse_network
from ..core.places import place_of
from ..core.schemes import SOURCES, Scheme
from ..core.verifiers import Hasher, Verifier
from ..request_parts import UNIX

#: What is wrong with a value, as the end of "APIKEYS['NAME'] …"; None where nothing is.
Rule = Callable[[Any], str | None]

_ARGON2_KIB_PER_LANE = 8
#: Tokens live for minutes, and what has ended counts for so much longer.
_LONGEST_LEEWAY = timedelta(minutes=5)
#: Pages and warnings ask for the requests of so many hours, and a key whose hours are gone would look idle.
_FEWEST_HOURS = timedelta(hours=24)
_FERNET_KEY = re.compile("[0-9A-Za-z_-]{43}=")
_STRATEGIES = ("sliding-window-counter", "moving-window", "fixed-window")
_READERS = ("signed-in", "public", "off")
_HEADERS = ("draft", "legacy", "both", "off")


def did_you_mean(word: object, words: Iterable[str]) -> str:
    """Return the hint that *word* is a misspelling, or the list of *words*."""
    words = list(words)
    near = difflib.get_close_matches(str(word), words, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(words)}."


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"is {value!r}, but must be True or False."


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"is {value!r}, but must be text."


def _mode(value: Any) -> str | None:
    return None if value in keyformat.MODES else f"is {value!r}, but must be 'live' or 'test'."


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else f"is {value!r}, but must be a dict."


def _count(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if is_count else f"is {value!r}, but must be a whole number above 0."


def _count_or_none(value: Any) -> str | None:
    return None if value is None else _count(value)


def _cache(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in django_settings.CACHES):
        return None
    return f"is {value!r}, which is not in CACHES. {did_you_mean(value, django_settings.CACHES)}"


def _lifetime(value: Any) -> str | None:
    is_lifetime = isinstance(value, timedelta) and value > timedelta(0)
    return None if is_lifetime else f"is {value!r}, but must be a timedelta above 0."


def _overlap(value: Any) -> str | None:
    is_overlap = isinstance(value, timedelta) and value >= timedelta(0)
    return None if is_overlap else f"is {value!r}, but must be a timedelta of at least 0."


def _hours_kept(value: Any) -> str | None:
    if isinstance(value, timedelta) and value >= _FEWEST_HOURS:
        return None
    return f"is {value!r}, but must be a timedelta of at least 24 hours."


def _leeway(value: Any) -> str | None:
    if isinstance(value, timedelta) and timedelta(0) <= value <= _LONGEST_LEEWAY:
        return None
    return f"is {value!r}, but must be a timedelta of at least 0 and at most 5 minutes."


def _proxies(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return f"is {value!r}, but must be a list."
    for item in value:
        if not isinstance(item, str) or (item != UNIX and parse_network(item) is None):
            return f"holds {item!r}, which is neither a network, such as '10.0.0.0/8', nor {UNIX!r}."
    return None


def _sources(value: Any) -> str | None:
    if not isinstance(value, list | tuple | set | frozenset) or not value:
        return f"is {value!r}, but must be a list of at least one of {', '.join(SOURCES)}."
    unknown = [item for item in value if item not in SOURCES]
    return f"holds {unknown[0]!r}. {did_you_mean(unknown[0], SOURCES)}" if unknown else None


def _argon2(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"is {value!r}, but must be a dict."
    for name, number in value.items():
        if name not in DEFAULTS["ARGON2"]:
            return f"holds {name!r}. {did_you_mean(name, DEFAULTS['ARGON2'])}"
        if (problem := _count(number)) is not None:
            return f"has {name!r}, which {problem}"
    options = DEFAULTS["ARGON2"] | dict(value)
    least = _ARGON2_KIB_PER_LANE * options["parallelism"]
    if options["memory_kib"] < least:
        return f"gives Argon2 {options['memory_kib']} KiB, but that many lanes need at least {least}."
    return None


def _classes_of(kind: type) -> Rule:
    def rule(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not value:
            return f"is {value!r}, but must be a list of at least one dotted path."
        for path in value:
            found, problem = imported(path)
            if problem is not None:
                return problem
            if not (inspect.isclass(found) and issubclass(found, kind)):
                return f"names {path!r}, which is not a subclass of {kind.__module__}.{kind.__name__}."
        return None

    return rule


def _verifiers(value: Any) -> str | None:
    problem = _classes_of(Verifier)(value)
    if problem is None and not any(issubclass(import_string(path), Hasher) for path in value):
        return "names no subclass of Hasher, so no key could be stored."
    return problem


def _function(value: Any) -> str | None:
    if value is None or callable(value):
        return None
    found, problem = imported(value)
    if problem is None and not callable(found):
        return f"names {value!r}, which can't be called."
    return problem


def imported(path: Any) -> tuple[Any, str | None]:
    """Return what *path* names, or None and what is wrong with it."""
    if not isinstance(path, str):
        return None, f"holds {path!r}, but must hold dotted paths."
    try:
        return import_string(path), None
    except Exception as error:  # noqa: BLE001  # what a project's module raises when it is imported is not known
        return None, f"names {path!r}, which can't be imported: {type(error).__name__}: {error}"


def _one_of(*words: str) -> Rule:
    def rule(value: Any) -> str | None:
        return None if value in words else f"is {value!r}. {did_you_mean(value, words)}"

    return rule


def _words_for(parse: Callable[[str], object]) -> Rule:
    def rule(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            return f"is {value!r}, but must be a list of texts."
        try:
            for text in value:
                parse(text)
        except RateSyntaxError as error:
            return f"can't be used: {error}"
        return None

    return rule


def _limit_scopes(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"is {value!r}, but must be a dict of lists of rates."
    for name, listed in value.items():
        # They stand in header fields, between quotes.
        if not isinstance(name, str) or re.fullmatch("[0-9A-Za-z_-]{1,64}", name) is None:
            return f"holds {name!r}, but names are up to 64 letters, digits, '-' and '_'."
        if name == "quota" or name.isdigit():
            # "10-second" and "quota-day" are what rates and quotas of callers are called there.
            return f"holds {name!r}, which would be taken for a limit of callers. Give it a name of its own."
        if not listed:
            return f"has no rate for {name!r}."
        problem = _words_for(rates.parse_rate)(listed)
        if problem is not None:
            return f"has {name!r}, which {problem}"
    return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _lifetime_or_none(value: Any) -> str | None:
    return None if value is None else _lifetime(value)


def _count_or_zero(value: Any) -> str | None:
    return None if value == 0 and not isinstance(value, bool) else _count(value)


def _address(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"is {value!r}, but must be text."
    if not value:
        return None
    place = place_of(value)
    if place is None:
        return f"is {value!r}, but must be an address such as 'https://auth.example.com/apikeys', without a query."
    if not place.is_secure and not django_settings.DEBUG:
        return f"is {value!r}, but outside of DEBUG it must begin with https://."
    return None


def _secrets(value: Any) -> str | None:
    # None of them is shown: these are the settings that hold secrets.
    if not isinstance(value, list | tuple) or not all(isinstance(item, str | Mapping) and item for item in value):
        return "must be a list of texts, of which none is empty."
    return None


def _fernet_keys(value: Any) -> str | None:
    # Likewise. What Fernet itself takes is more: it drops letters that are none of its own.
    if isinstance(value, list | tuple) and all(isinstance(item, str) and _FERNET_KEY.fullmatch(item) for item in value):
        return None
    return "must be a list of Fernet keys: 43 letters, digits, '-' and '_', and a '='."


def _key_or_empty(value: Any) -> str | None:
    # Likewise.
    if isinstance(value, str) and (not value or is_token68(value)):
        return None
    return "must be an API key: letters, digits and '_', without a space or line break around it."


#: One for each setting.
RULES: dict[str, Rule] = {
    "PREFIX": _text,
    "MODE": _mode,
    "SCOPES": _mapping,
    "REQUIRE_DECLARED_SCOPES": _yes_or_no,
    "REQUIRE_HTTPS": _yes_or_no,
    "TRUSTED_PROXIES": _proxies,
    "CREDENTIAL_SOURCES": _sources,
    "SCHEMES": _classes_of(Scheme),
    "VERIFIERS": _verifiers,
    "ARGON2": _argon2,
    "REMEMBERED_PROOFS": _count,
    "HASHES_PER_KEY_PER_MINUTE": _count,
    "CONCURRENT_HASHES": _count_or_none,
    "MAX_STALENESS": _overlap,
    "READ_REPLICA": _yes_or_no,
    "CACHE": _cache,
    "DEFAULT_LIFETIME": _lifetime,
    "MAX_LIFETIME": _lifetime,
    "ALLOW_NO_EXPIRY": _yes_or_no,
    "DEFAULT_OVERLAP": _overlap,
    "MAX_OVERLAP": _overlap,
    "MAX_KEYS_PER_OWNER": _count,
    "RATES": _words_for(rates.parse_rate),
    "QUOTAS": _words_for(rates.parse_quota),
    "LIMIT_SCOPES": _limit_scopes,
    "LIMITS_STORAGE": _text_or_none,
    "LIMITS_STRATEGY": _one_of(*_STRATEGIES),
    "LIMITS_TIMEOUT": _lifetime,
    "LIMITS_FAIL_OPEN": _yes_or_no,
    "QUOTA_BLOCK": _count,
    "RATE_LIMIT_HEADERS": _one_of(*_HEADERS),
    "USAGE_FLUSH_INTERVAL": _lifetime,
    "USAGE_FLUSH_ROWS": _count,
    "USAGE_HOURS_KEPT": _hours_kept,
    "USAGE_DAYS_KEPT": _lifetime,
    "GUESSES_PER_NETWORK_PER_MINUTE": _count,
    "NETWORKS_PER_KEY": _count,
    "SITE_NAME": _text,
    "SCOPE_REFERENCE": _one_of(*_READERS),
    "CONSENT_LIFETIME": _lifetime,
    "CONSENT_FRESH_FOR": _overlap,
    "CLAIMS": _mapping,
    "ISSUER": _address,
    "SIGNING_KEYS": _secrets,
    "SIGNING_KEY_SECRETS": _fernet_keys,
    "SIGNING_ALGORITHM": _one_of(*SIGNING_ALGORITHMS),
    "SIGNING_KEY_LIFETIME": _lifetime,
    "SIGNING_KEY_PUBLISHED_AHEAD": _overlap,
    "SIGNED_TOKEN_LIFETIME": _lifetime,
    "JWKS_MAX_AGE": _lifetime,
    "REVOCATIONS_OVERLAP": _lifetime,
    "AUTHORITY_URL": _address,
    "AUTHORITY_KEY": _key_or_empty,
    "AUTHORITY_CONNECT_TIMEOUT": _lifetime,
    "AUTHORITY_READ_TIMEOUT": _lifetime,
    "AUTHORITY_PAUSE": _lifetime,
    "AUDIENCE": _text,
    "INTROSPECTION_CACHE": _overlap,
    "JWKS_KEPT": _lifetime,
    "CLOCK_LEEWAY": _leeway,
    "REVOCATIONS_POLL_INTERVAL": _lifetime_or_none,
    "REVOCATIONS_MAX_AGE": _lifetime_or_none,
    "REMEMBERED_TOKENS": _count_or_zero,
    "SECRET_SINK": _function,
    "REQUEST_ID": _function,
    "ERROR_DOCS_URL": _text,
}
