"""Processes that die while they change the signing keys."""

from __future__ import annotations

from itertools import count

import pytest

from .exchanges import exchange, make_holder, make_signing_key, read, server_of
from .killed_rotations import killed_rotations
from .signing_keys import kids

pytestmark = pytest.mark.django_db(transaction=True)

#: Fewer, and the rotation was not killed where it matters.
LEAST_DEATHS = 5


@pytest.fixture
def issued():
    make_signing_key()
    return make_holder()


def test_every_token_is_verified_by_a_published_key_wherever_a_rotation_dies(issued):
    given = []

    with killed_rotations() as rotate:
        for statement in count(1):
            given.append(exchange(issued))
            is_done = rotate("--force", before_statement=statement)
            given.append(exchange(issued))
            if is_done:
                break

    assert {read(response, audience=server_of(issued)).key_id for response in given} == {issued.key.key_id}
    assert statement > LEAST_DEATHS
    assert len(kids()) > 1


def test_tokens_are_given_and_verified_wherever_a_withdrawal_dies(issued):
    with killed_rotations() as rotate:
        for statement in count(1):
            is_done = rotate("--compromised", kids()[-1], before_statement=statement)
            response = exchange(issued)
            assert read(response, audience=server_of(issued)).key_id == issued.key.key_id
            assert len(kids()) == 1
            if is_done:
                break

    assert statement > LEAST_DEATHS
