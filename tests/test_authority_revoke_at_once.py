"""Introspections and revocations that meet, with real threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from apikeys import clients, keys
from apikeys.models import EventKind, KeyEvent, KeyRevocation
from apikeys.testing import make_key

from .introspection import is_active, make_app, make_server, revoke, set_signing_key, signed
from .threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

#: Enough that some of them meet between a look and the write that follows it.
ROUNDS = 5


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings)


def key_revoked(issued, other, text):
    keys.revoke(issued.key, reason="leaked")


def client_disabled(issued, other, text):
    clients.disable(issued.key.client)


def given_up(issued, other, text):
    assert revoke(other, text).status_code == 200


ENDS: dict[str, Callable[[Any, Any, str], object]] = {
    "key revoked": key_revoked,
    "client disabled": client_disabled,
    "given up": given_up,
}


def asking(server, text, ended):
    """Return whether *text* was active, asked until its end is over, and whether each was asked after that."""
    answers: list[tuple[bool, bool]] = []
    while not (answers and answers[-1][0]):
        is_late = ended.is_set()
        answers.append((is_late, is_active(server, text)))
    return answers


@pytest.mark.parametrize("is_signed", [False, True], ids=["key", "signed token"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_active_any_more_once_its_end_has_returned(end, is_signed):
    for _round in range(ROUNDS):
        server = make_server()
        app = make_app(server)
        issued, other = make_key(client=app), make_key(client=app)
        text = signed(issued, server) if is_signed else issued.plaintext
        ended = threading.Event()

        def finish(end=end, args=(issued, other, text), ended=ended):
            end(*args)
            ended.set()

        _, *asked = at_once(finish, *[partial(asking, server, text, ended)] * 3)

        assert not any(is_late and is_found for answers in asked for is_late, is_found in answers)


def test_of_many_who_give_up_one_key_each_is_told_that_it_is_done():
    for _round in range(ROUNDS):
        app = make_app(make_server())
        issued, other = make_key(client=app), make_key(client=app)

        responses = at_once(*[partial(revoke, other, issued)] * 4)

        assert [response.status_code for response in responses] == [200] * 4
        assert KeyRevocation.objects.filter(key=issued.key).count() == 1
        assert KeyEvent.objects.filter(kind=EventKind.REVOKED, key=issued.key).count() == 1


def test_of_many_who_give_up_one_token_one_is_on_record():
    for _round in range(ROUNDS):
        server = make_server()
        issued = make_key(client=make_app(server))
        token = signed(issued, server)

        responses = at_once(*[partial(revoke, issued, token)] * 4)

        assert [response.status_code for response in responses] == [200] * 4
        assert KeyEvent.objects.filter(kind=EventKind.TOKEN_REVOKED, key=issued.key).count() == 1
