"""
The pytest plug-in: fixtures, a cheap hash for every key that a test makes, and no thread that writes usage.

It loads by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from apikeys.keys import IssuedKey
    from apikeys.testing import ApiKeyClient


def _is_installed() -> bool:
    # Imported here: pytest loads plug-ins before a project has named its settings.
    from django.apps import apps  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415

    return settings.configured and apps.ready and apps.is_installed("apikeys")


@pytest.fixture(autouse=True)
def _cheap_api_key_hashes() -> Iterator[None]:
    if not _is_installed():
        yield
        return
    from apikeys.testing import cheap_hashes  # noqa: PLC0415

    with cheap_hashes():
        yield


@pytest.fixture(scope="session", autouse=True)
def _usage_of_api_keys_by_hand() -> Iterator[None]:
    # A thread that writes while a test runs meets its transaction, and leaves rows for the next one.
    if not _is_installed():
        yield
        return
    from apikeys.testing import counting_by_hand  # noqa: PLC0415

    with counting_by_hand():
        yield


@pytest.fixture(autouse=True)
def _usage_of_each_test_by_hand(_usage_of_api_keys_by_hand: None) -> Iterator[None]:
    # Within that of the session: what one test has counted or left is nothing to the next.
    if not _is_installed():
        yield
        return
    from apikeys import pending  # noqa: PLC0415
    from apikeys.testing import counting_by_hand  # noqa: PLC0415

    pending.forget()
    with counting_by_hand():
        yield


@pytest.fixture
def make_api_key(db: None) -> Callable[..., IssuedKey]:
    """Return ``apikeys.testing.make_key``."""
    from apikeys.testing import make_key  # noqa: PLC0415

    return make_key


@pytest.fixture
def api_key_client(db: None) -> Callable[..., ApiKeyClient]:
    """Return a function: a test client with a new key; it takes what ``make_key`` takes."""
    from apikeys.testing import ApiKeyClient, make_key  # noqa: PLC0415

    def client(**fields: object) -> ApiKeyClient:
        return ApiKeyClient(make_key(**fields))  # type: ignore[arg-type]  # passed on as it came

    return client
