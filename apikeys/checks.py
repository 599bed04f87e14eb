"""System checks of the settings and the declared scopes; ``drf.checks`` has those of the views. None runs a query."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_permission_codename, get_user_model
from django.core.cache.backends.redis import RedisCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from .conf import DEFAULTS, settings
from .core import keyformat
from .core.errors import ScopeSyntaxError
from .core.networks import parse_network
from .core.schemes import SOURCES, Scheme
from .core.scopes import Scope, scope_from_declaration
from .core.verifiers import Hasher, Verifier
from .policy import service_keys_available
from .registry import declared_scopes
from .request_parts import UNIX

#: ``manage.py check --tag apikeys`` runs these alone.
TAG = "apikeys"

#: What is wrong with a value, as the end of "APIKEYS['NAME'] …"; None where nothing is.
Rule = Callable[[Any], str | None]

_ARGON2_KIB_PER_LANE = 8
_MIDDLEWARE = "apikeys.middleware.ProofMiddleware"


@register(Tags.security, TAG)
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find unknown settings, values that can't be used (E001) and a prefix that no key can have (E004)."""
    given = getattr(django_settings, "APIKEYS", None)
    if given is None:
        return []
    if not isinstance(given, Mapping):
        hint = "Write APIKEYS = {…}, one dict of all settings."
        return [Error("APIKEYS is not a dict.", hint=hint, id="apikeys.E001")]
    return [*_unknown_settings(given), *_unusable_values(given), *_reversed_limits(given), *_bad_prefix(given)]


@register(Tags.security, TAG)
def check_scopes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find scopes that can't be read, are declared twice or name Django permissions that nobody has (E004)."""
    scopes: Any = settings.SCOPES
    if not isinstance(scopes, Mapping):
        return []  # E001 says so
    messages: list[CheckMessage] = []
    known = _django_permissions()
    places: dict[str, str] = {}
    try:
        for place, name, declaration in declared_scopes():
            if name in places:
                messages.append(_bad_scope(f"{place}: scope {name!r} is declared in {places[name]} already."))
                continue
            places[name] = place
            try:
                scope = scope_from_declaration(name, declaration)
            except ScopeSyntaxError as error:
                messages.append(_bad_scope(f"{place}: {error}"))
            else:
                messages += _unknown_permissions(scope, place=place, known=known)
    except ScopeSyntaxError as error:
        messages.append(_bad_scope(str(error)))
    except Exception as error:  # noqa: BLE001  # an app's api_scopes.py may fail in any way, and the rest still counts
        messages.append(_bad_scope(f"An api_scopes.py can't be imported: {type(error).__name__}: {error}"))
    return messages


@register(Tags.security, TAG)
def check_service_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a user model beside which keys that act for nobody can't exist (W104)."""
    try:
        is_available = service_keys_available()
    except ImproperlyConfigured:
        return []  # AUTH_USER_MODEL names no model: Django says so
    if is_available:
        return []
    return [
        Warning(
            f"Keys that act for nobody are unavailable: the primary key of {get_user_model()._meta.label} is text.",
            hint="A person's key could read “client:…” and pass for a client. Give every key an owner, or use a "
            "primary key that is a number or a UUID.",
            id="apikeys.W104",
        )
    ]


@register(Tags.security, TAG, deploy=True)
def check_staleness(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find what makes a revocation late: a bound above zero (W203), a replica (W209)."""
    messages: list[CheckMessage] = []
    bound: Any = settings.MAX_STALENESS
    if isinstance(bound, timedelta) and bound:
        messages.append(
            Warning(
                f"A revocation reaches other processes within {bound.total_seconds():g} seconds, not at once: "
                "APIKEYS['MAX_STALENESS'] is above zero.",
                hint="Silence it if that is meant. The page that revokes a key states the bound.",
                id="apikeys.W203",
            )
        )
    if settings.READ_REPLICA:
        messages.append(
            Warning(
                "A revocation counts only when the replica has caught up: APIKEYS['READ_REPLICA'] is on.",
                hint="Silence it if that is meant. Nobody knows the bound of a replica.",
                id="apikeys.W209",
            )
        )
    return messages


@register(Tags.security, TAG, deploy=True)
def check_cache_timeout(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a shared cache that requests could wait for without end (W207)."""
    alias: Any = settings.CACHE
    cache = django_settings.CACHES.get(alias) if isinstance(alias, str) else None
    if cache is None:
        return []  # E001 speaks of a name that is not there
    backend, _problem = _imported(cache.get("BACKEND"))
    if not (inspect.isclass(backend) and issubclass(backend, RedisCache)) or _names_timeout(cache):
        return []
    return [
        Warning(
            f"CACHES[{alias!r}] names no socket_timeout, so that a Redis that hangs holds requests up: for 5 seconds "
            "with redis-py 8, without end with older versions.",
            hint='Add "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1}, in seconds. Requests go on '
            "without the cache then.",
            id="apikeys.W207",
        )
    ]


@register(Tags.security, TAG, deploy=True)
def check_atomic_requests(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find transactions around views, in which keys that are new to a process would be hashed (W208)."""
    atomic = [alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]]
    if not atomic or _MIDDLEWARE in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"ATOMIC_REQUESTS is on for the database {atomic[0]!r}, so that Argon2 runs inside of the view's "
            "transaction for each key that is new to a process.",
            hint=f"Add {_MIDDLEWARE!r} to MIDDLEWARE. It checks keys before the transaction begins.",
            id="apikeys.W208",
        )
    ]


def did_you_mean(word: object, words: Iterable[str]) -> str:
    """Return the hint that *word* is a misspelling, or the list of *words*."""
    words = list(words)
    near = difflib.get_close_matches(str(word), words, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(words)}."


def _unknown_settings(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for name in given:
        if name not in DEFAULTS:
            yield Error(f"There is no setting APIKEYS[{name!r}].", hint=did_you_mean(name, DEFAULTS), id="apikeys.E001")


def _unusable_values(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for name, rule in RULES.items():
        problem = rule(given[name]) if name in given else None
        if problem is not None:
            hint = f"Leave it out for the default, {DEFAULTS[name]!r}."
            yield Error(f"APIKEYS[{name!r}] {problem}", hint=hint, id="apikeys.E001")


def _reversed_limits(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for default, most in (("DEFAULT_LIFETIME", "MAX_LIFETIME"), ("DEFAULT_OVERLAP", "MAX_OVERLAP")):
        # A default that the project left alone gives way to a lower limit.
        if default not in given:
            continue
        limit = given.get(most, DEFAULTS[most])
        if isinstance(given[default], timedelta) and isinstance(limit, timedelta) and given[default] > limit:
            yield Error(
                f"APIKEYS[{default!r}] is {given[default]}, but APIKEYS[{most!r}] allows at most {limit}.",
                hint="Lower the default or raise the limit.",
                id="apikeys.E001",
            )


def _bad_prefix(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    prefix = given.get("PREFIX", DEFAULTS["PREFIX"])
    if isinstance(prefix, str) and not keyformat.is_valid_prefix(prefix):
        yield Error(
            f"APIKEYS['PREFIX'] is {prefix!r}, which no key can start with.",
            hint="Use 1 to 16 letters and digits.",
            id="apikeys.E004",
        )


def _bad_scope(text: str) -> Error:
    hint = "Declare a scope as 'todo:read': 'View your to-dos.', or as a dict with resource, label, text."
    return Error(text, hint=hint, id="apikeys.E004")


def _unknown_permissions(scope: Scope, *, place: str, known: list[str]) -> Iterator[CheckMessage]:
    for name in scope.permissions:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            suggestion = f"Did you mean {near[0]!r}? " if near else ""
            yield Error(
                f"{place}: scope {scope.name!r} names the Django permission {name!r}, which no installed model has.",
                hint=f"{suggestion}Write 'app_label.codename', as in 'auth.view_user'.",
                id="apikeys.E004",
            )


def _names_timeout(cache: Mapping[str, Any]) -> bool:
    # Django hands OPTIONS to redis-py's connection pool, which takes the same names from the address.
    location = cache.get("LOCATION", "")
    addresses = re.split("[;,]", location) if isinstance(location, str) else location
    return "socket_timeout" in cache.get("OPTIONS", {}) or all(
        "socket_timeout" in parse_qs(urlsplit(address).query) for address in addresses
    )


def _django_permissions() -> list[str]:
    # As Django names them when it makes their rows, which a check must not ask for.
    names = []
    for model in apps.get_models():
        meta = model._meta
        codenames = [get_permission_codename(action, meta) for action in meta.default_permissions]
        codenames += [codename for codename, _ in meta.permissions]
        names += [f"{meta.app_label}.{codename}" for codename in codenames]
    return names


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
            found, problem = _imported(path)
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
    found, problem = _imported(value)
    if problem is None and not callable(found):
        return f"names {value!r}, which can't be called."
    return problem


def _imported(path: Any) -> tuple[Any, str | None]:
    if not isinstance(path, str):
        return None, f"holds {path!r}, but must hold dotted paths."
    try:
        return import_string(path), None
    except Exception as error:  # noqa: BLE001  # what a project's module raises when it is imported is not known
        return None, f"names {path!r}, which can't be imported: {type(error).__name__}: {error}"


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
    "SECRET_SINK": _function,
    "REQUEST_ID": _function,
    "ERROR_DOCS_URL": _text,
}
