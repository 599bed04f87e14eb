from __future__ import annotations

from hashlib import sha256

import pytest
from django.contrib.messages import constants
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpResponse
from oauthlib.common import generate_token

from apikeys.models import APIKey
from apikeys.testing.leaks import assert_not_stored

pytestmark = pytest.mark.django_db


def keep_in_session(plaintext):
    session = SessionStore()
    session["note"] = {"text": plaintext * 20}
    session.save()


def keep_in_column(plaintext):
    APIKey.objects.update(note=f"it is {plaintext}")


def keep_part_in_column(plaintext):
    APIKey.objects.update(note=plaintext.rpartition("_")[2][:20])


def keep_in_cache(plaintext):
    cache.set("anything", [plaintext])


@pytest.mark.parametrize(
    ("keep", "place"),
    [
        pytest.param(keep_in_session, "django_session.session_data", id="session"),
        pytest.param(keep_in_column, "apikeys_apikey.note", id="column"),
        pytest.param(keep_part_in_column, "apikeys_apikey.note", id="part-in-column"),
        pytest.param(keep_in_cache, "cache 'default'", id="cache"),
    ],
)
def test_stored_secret_is_found(make_api_key, keep, place):
    plaintext = make_api_key().plaintext
    keep(plaintext)

    try:
        with pytest.raises(AssertionError, match=place) as caught:
            assert_not_stored(plaintext)
    finally:
        cache.clear()

    assert plaintext.rpartition("_")[2] not in str(caught.value)


def test_secret_in_message_cookie_is_found(make_api_key, rf):
    plaintext = make_api_key().plaintext
    storage = CookieStorage(rf.get("/"))
    storage.add(constants.INFO, plaintext * 10)
    response = HttpResponse()
    storage.update(response)

    with pytest.raises(AssertionError, match="cookies"):
        assert_not_stored(plaintext, also={"cookies": response.cookies})


def test_key_that_is_only_hashed_is_not_found(make_api_key):
    plaintext = make_api_key().plaintext

    assert_not_stored(plaintext, also={"log": "nothing", "header": b"nothing"})


@pytest.fixture
def cached():
    """The cache, empty again afterwards."""
    yield cache
    cache.clear()


@pytest.mark.parametrize("part", [slice(None), slice(12, 24), slice(-12, None)], ids=["whole", "middle", "end"])
def test_token_is_found_as_a_key_is(cached, part):
    token = generate_token()
    cached.set("anything", [f"it is {token[part]}"])

    with pytest.raises(AssertionError, match="cache 'default'") as raised:
        assert_not_stored(token)

    assert token[part] not in str(raised.value)


def test_token_that_is_only_hashed_is_not_found(cached):
    token = generate_token()
    cached.set("anything", sha256(token.encode()).hexdigest())

    assert_not_stored(token)
