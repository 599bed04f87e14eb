"""System checks of the settings, for every project, also one without models. None runs a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, register

from ..conf import DEFAULTS
from ..core import keyformat
from . import TAG
from .rules import RULES, did_you_mean


@register(Tags.security, TAG)
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find unknown settings, values that can't be used (E001) and a prefix that no key can have (E038)."""
    given = getattr(django_settings, "APIKEYS", None)
    if given is None:
        return []
    if not isinstance(given, Mapping):
        hint = "Write APIKEYS = {…}, one dict of all settings."
        return [Error("APIKEYS is not a dict.", hint=hint, id="apikeys.E001")]
    return [*_unknown_settings(given), *_unusable_values(given), *_reversed_limits(given), *_bad_prefix(given)]


@register(Tags.security, TAG)
def check_clock(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a project whose instants have no time zone (E009)."""
    if django_settings.USE_TZ:
        return []
    text = "USE_TZ is False: when a key ends would be two instants in the night when clocks go back."
    return [Error(text, hint="Set USE_TZ = True, which is Django's default.", id="apikeys.E009")]


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
            id="apikeys.E038",
        )
