"""Changes that start together, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from apikeys.core import errors
from apikeys.models import APIKey
from tests.threads import at_once


def race(*calls: Callable[[], object]) -> list[object]:
    """Return what *calls* return or are refused with, started together."""
    return at_once(*(partial(outcome_of, call) for call in calls))


def outcome_of(call):
    try:
        return call()
    except errors.APIKeysError as error:
        return error


def of_type(results, kind):
    return [result for result in results if isinstance(result, kind)]


def fresh(key):
    return APIKey.objects.get(pk=key.pk)
