"""What is inactive is inactive in one way, and at one price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apikeys import clients, keys, remembered, tag_secrets
from apikeys.core import keyformat
from apikeys.models import APIKey
from apikeys.testing import make_key

from .introspection import INTROSPECT, introspect, make_app, make_server, post, told
from .request_path import CountingHasher, statements, with_right_tag

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hasher():
    # Alone, as without a cache that other processes share.
    changed = {"VERIFIERS": ["tests.request_path.CountingHasher"], "CACHE": None}
    with override_settings(APIKEYS={**settings.APIKEYS, **changed}):
        yield CountingHasher.start()


@pytest.fixture
def server():
    return make_server()


def revoked(issued):
    keys.revoke(issued.key, reason="leaked")


def expired(issued):
    APIKey.objects.filter(pk=issued.key.pk).update(expires_at=timezone.now())


def rotated_out(issued):
    keys.rotate(issued.key, overlap=timedelta(0))


def client_disabled(issued):
    clients.disable(issued.key.client)


def owner_disabled(issued):
    issued.key.owner.is_active = False
    issued.key.owner.save()


def owner_gone(issued):
    issued.key.owner.delete()


def server_no_longer_named(issued):
    clients.edit(issued.key.client, audiences=[])


def bound_to_no_network(issued):
    APIKey.objects.filter(pk=issued.key.pk).update(allowed_networks=[])


DEAD: dict[str, Callable[[Any], object]] = {
    "revoked": revoked,
    "expired": expired,
    "rotated out": rotated_out,
    "client disabled": client_disabled,
    "owner disabled": owner_disabled,
    "owner gone": owner_gone,
    "server no longer named": server_no_longer_named,
    "bound to no network": bound_to_no_network,
}


def dead(how):
    def make(server):
        issued = make_key(client=make_app(server))
        DEAD[how](issued)
        return issued.plaintext

    return make


def unknown_id(server):
    return with_right_tag("0" * keyformat.KEY_ID_LENGTH)


def wrong_secret(server):
    return with_right_tag(make_key(client=make_app(server)).key.key_id)


def other_mode(server):
    with override_settings(APIKEYS={**settings.APIKEYS, "MODE": "test"}):
        return make_key(client=make_app(server)).plaintext


def of_a_client_that_names_no_server(server):
    return make_key().plaintext


def of_a_client_that_names_another_server(server):
    return make_key(client=make_app(make_server())).plaintext


def its_own(server):
    return server.key.plaintext


def unenforced(server):
    return make_key(client=make_app(server), allowed_networks=["203.0.113.0/24"]).plaintext


#: Whatever they are, their tag was made here.
WITH_A_RIGHT_TAG: dict[str, Callable[[Any], str]] = {
    **{how: dead(how) for how in DEAD},
    "unknown id": unknown_id,
    "wrong secret": wrong_secret,
    "other mode": other_mode,
    "of a client that names no server": of_a_client_that_names_no_server,
    "of a client that names another server": of_a_client_that_names_another_server,
    "its own": its_own,
    "bound to networks that nobody enforces": unenforced,
}


def wrong_tag(server):
    plaintext = make_key(client=make_app(server)).plaintext
    return plaintext[:-1] + ("x" if plaintext[-1] != "x" else "y")


def around(before, after=""):
    return lambda server: before + make_key(client=make_app(server)).plaintext + after


#: Of these each is refused before anything is looked up or hashed.
AT_NO_PRICE: dict[str, Callable[[Any], str]] = {
    "wrong tag": wrong_tag,
    "key cut off": lambda server: make_key(client=make_app(server)).plaintext[:-1],
    "key and more": around("", "0"),
    "key in spaces": around(" ", " "),
    "key with a NUL": around("", "\x00"),
    "two keys": around("", ", ak_live_"),
    "prefix alone": lambda server: "ak_",
    "a megabyte": lambda server: "ak_live_" + "0" * 1_000_000,
    "a megabyte of dots": lambda server: "." * 1_000_000,
    "space": lambda server: " ",
    "not Unicode": lambda server: "\ufffd",
    "letters of another script": lambda server: "ключ",
}
#: The look-up of OAuth tokens takes what nobody else knows.
AT_NO_HASH: dict[str, Callable[[Any], str]] = {
    **AT_NO_PRICE,
    "word": lambda server: "anything",
    "three parts": lambda server: "e30.e30.e30",
}


def answers(server, text, **options):
    response = introspect(server, text, **options)
    # What counts down with each request is the caller's own.
    headers = {name: value for name, value in response.items() if not name.startswith("RateLimit")}
    return response.status_code, response.content, headers


@pytest.mark.parametrize(
    "make", [*WITH_A_RIGHT_TAG.values(), *AT_NO_HASH.values()], ids=[*WITH_A_RIGHT_TAG, *AT_NO_HASH]
)
def test_inactive_credentials_are_answered_alike(server, make):
    form = {} if make is unenforced else {"networks_enforced": "true"}

    answer = answers(server, make(server), form=form)

    assert answer[:2] == (200, b'{"active":false}')
    assert answer == answers(server, "never-issued", form=form)


NO_UNICODE = {
    "half a surrogate pair": "token=%ED%A0%80",
    "latin-1": "token=%E4",
    "latin-1 as it is": b"token=\xe4",
    "NUL": "token=%00",
}


@pytest.mark.parametrize("body", NO_UNICODE.values(), ids=NO_UNICODE)
def test_bytes_that_are_no_text_are_inactive(server, body):
    response = post(server.key, INTROSPECT, body)

    assert (response.status_code, response.content) == (200, b'{"active":false}')


def cold(make, server):
    """Return the text of *make* in a process that has proven the server's own key and nothing else."""
    text = make(server)
    introspect(server, "anything")
    remembered.forget_all()
    tag_secrets.forget_all()
    introspect(server, "anything")
    return text


@pytest.mark.parametrize("make", WITH_A_RIGHT_TAG.values(), ids=WITH_A_RIGHT_TAG)
def test_inactive_key_with_a_right_tag_costs_one_hash_and_then_none(server, hasher, make):
    text = cold(make, server)
    hasher.start()

    introspect(server, text)
    first = len(hasher.checks)
    introspect(server, text)

    # That of its own key was proven when it asked.
    assert (first, len(hasher.checks)) == ((0, 0) if make is its_own else (1, 1))


def test_active_key_costs_one_hash_and_then_none(server, hasher):
    text = cold(lambda server: make_key(client=make_app(server)).plaintext, server)
    hasher.start()

    told(server, text)
    first = len(hasher.checks)
    told(server, text)

    assert (first, len(hasher.checks)) == (1, 1)


@pytest.mark.parametrize("make", AT_NO_HASH.values(), ids=AT_NO_HASH)
def test_what_is_no_key_of_this_site_costs_no_hash(server, hasher, make):
    text = cold(make, server)
    hasher.start()

    introspect(server, text)

    assert hasher.checks == []


def queries(server, text, **options):
    introspect(server, text, **options)
    with statements() as sql:
        introspect(server, text, **options)
    # The tag secrets may be read again after a wrong tag.
    return [text for text in sql if "apikeys_tagsecret" not in text]


@pytest.mark.parametrize("make", WITH_A_RIGHT_TAG.values(), ids=WITH_A_RIGHT_TAG)
def test_inactive_key_with_a_right_tag_costs_one_query_beside_the_two_about_the_caller(server, make):
    assert len(queries(server, make(server), form={})) == 3


@pytest.mark.parametrize("make", AT_NO_PRICE.values(), ids=AT_NO_PRICE)
def test_what_nobody_can_have_issued_costs_the_two_queries_about_the_caller(server, make):
    assert len(queries(server, make(server))) == 2


def test_active_key_costs_a_query_more_for_its_person(server):
    assert len(queries(server, make_key(client=make_app(server)))) == 4
