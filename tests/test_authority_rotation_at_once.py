"""Runs of ``rotate_signing_key`` at once, beside tokens that are signed meanwhile."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from apikeys.authority import rotation
from apikeys.authority.models import SigningKey
from apikeys.authority.signing import stored_keys
from apikeys.authority.turns import turns
from apikeys.models import KeyEvent
from tests.commands import run_at_once
from tests.signing_keys import AHEAD, LIFETIME, kids, published, rotate, signer
from tests.threads import at_once

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def counts(results, name):
    return [result.json["counts"][name] for result in results]


def age(span):
    """Let *span* pass for all keys that there are."""
    for row in SigningKey.objects.all():
        SigningKey.objects.filter(pk=row.pk).update(signs_from=row.signs_from - span, created_at=row.created_at - span)


def test_runs_at_once_make_one_first_key():
    results = run_at_once("rotate_signing_key", "--json", times=4)

    assert {result.code for result in results} == {0}
    assert sum(counts(results, "made")) == 1
    assert len(kids()) == KeyEvent.objects.count() == 1


@pytest.mark.parametrize("options", [(), ("--force",)], ids=["due", "forced"])
def test_runs_at_once_make_one_next_key(options):
    rotate()
    age(LIFETIME if not options else timedelta(0))

    results = run_at_once("rotate_signing_key", *options, "--json", times=4)

    assert {result.code for result in results} == {0}
    # Forced, a run that begins when another has ended makes its own.
    assert sum(counts(results, "made")) == len(kids()) - 1 == KeyEvent.objects.count() - 1
    assert options or len(kids()) == 2


def test_of_two_that_saw_the_same_keys_one_makes_the_next():
    rotate()
    known = turns(stored_keys())
    now = timezone.now()

    made = at_once(*[partial(rotation.make, known, now=now, source="command")] * 2)

    assert len([row for row in made if row is not None]) == 1
    assert len(kids()) == 2


def test_a_run_that_saw_what_was_true_before_another_ended_makes_nothing():
    rotate()
    known = turns(stored_keys())
    now = timezone.now()
    rotation.make(known, now=now, source="command")

    assert rotation.make(known, now=now, source="command") is None
    assert len(kids()) == 2


def test_a_compromised_key_is_replaced_once():
    rotate()
    [stolen] = kids()

    now = timezone.now()
    made = at_once(*[partial(rotation.withdraw, [stolen], now=now, source="command")] * 3)

    assert len([row for row in made if row is not None]) == 1
    assert len(kids()) == 1
    assert signer(now) != stolen


def test_a_compromised_key_is_withdrawn_beside_a_rotation():
    rotate()
    [stolen] = kids()
    known = turns(stored_keys())
    now = timezone.now()

    at_once(
        partial(rotation.withdraw, [stolen], now=now, source="command"),
        partial(rotation.make, known, now=now, source="command"),
    )

    assert stolen not in published(now)
    assert signer(now) in published(now)
    assert stolen not in kids()


def test_whatever_signs_while_keys_are_made_and_withdrawn_is_published():
    rotate()
    now = timezone.now()

    def sign_and_look():
        # Read in one order: what signs is there when what is published is read, or was withdrawn in between.
        return [(signer(now), published(now)) for _ in range(40)]

    def rotate_often():
        for _ in range(6):
            rotation.make(turns(stored_keys()), now=now - AHEAD, source="command")

    seen, more, _rotated = at_once(sign_and_look, sign_and_look, rotate_often)

    assert all(kid in there for kid, there in [*seen, *more])
    assert len(kids()) == 7
