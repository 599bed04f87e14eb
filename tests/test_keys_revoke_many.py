from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.dispatch import receiver
from django.test.utils import CaptureQueriesContext

from apikeys import clients, keys, signals
from apikeys.core import errors
from apikeys.models import APIKey, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import ClientFactory, PersonFactory, UserFactory
from tests.many_keys import insert_keys
from tests.races import fresh, of_type, race

pytestmark = pytest.mark.django_db

ROUNDS = 6


def code(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").json().get("code")


def names(found):
    return [key.name for key in found]


def test_revoked_keys_stop_on_the_next_request_and_others_work_on():
    gilfoyle = UserFactory(is_superuser=True)
    first, second, other = make_key(), make_key(), make_key()

    done = keys.revoke_many([second.key, first.key], reason="leaked", note="seen in a log", by=gilfoyle)

    assert [code(issued) for issued in (first, second, other)] == ["key_revoked", "key_revoked", None]
    assert done.revoked == [first.key, second.key]
    assert done.already_revoked == []
    for revocation in KeyRevocation.objects.all():
        assert (revocation.reason, revocation.note, revocation.by) == ("leaked", "seen in a log", gilfoyle)


def test_each_key_gets_the_event_that_a_single_revocation_leaves():
    gilfoyle = UserFactory(username="gilfoyle", is_superuser=True)
    single, many = make_key().key, [make_key().key, make_key().key]

    keys.revoke(single, reason="left", note="Gone", by=gilfoyle, source="admin")
    keys.revoke_many(many, reason="left", note="Gone", by=gilfoyle, source="admin")

    told = KeyEvent.objects.filter(kind="revoked").order_by("pk")
    assert [event.key for event in told] == [single, *many]
    assert [event.client for event in told] == [key.client for key in (single, *many)]
    kept = {(e.actor, e.actor_name, e.source, e.details["reason"], e.details["note"]) for e in told}
    assert kept == {(gilfoyle, "gilfoyle", "admin", "left", "Gone")}


def test_signal_is_sent_for_each_key_after_the_commit(django_capture_on_commit_callbacks):
    made = [make_key().key, make_key().key]
    heard: list[tuple[Any, str, bool]] = []

    @receiver(signals.key_revoked)
    def listen(sender, key, event, **rest):
        heard.append((key, event.kind, sender is APIKey and event.pk is not None))

    with django_capture_on_commit_callbacks(execute=True):
        keys.revoke_many(made, reason="leaked")
        before_commit = list(heard)

    assert before_commit == []
    assert heard == [(key, "revoked", True) for key in made]


def test_keys_that_were_revoked_before_stay_as_they_are_and_are_reported():
    dead, alive = make_key(name="Dead").key, make_key(name="Alive").key
    keys.revoke(dead, reason="left")
    earlier = KeyRevocation.objects.get()

    done = keys.revoke_many([dead, alive], reason="leaked")

    assert (names(done.revoked), names(done.already_revoked)) == (["Alive"], ["Dead"])
    assert done.already_revoked[0].revocation.at == earlier.at
    assert KeyRevocation.objects.get(key=dead).reason == "left"
    assert KeyEvent.objects.filter(kind="revoked", key=dead).count() == 1


def test_a_second_call_changes_nothing():
    made = [make_key().key, make_key().key]
    keys.revoke_many(made, reason="left")

    done = keys.revoke_many(made, reason="leaked")

    assert (done.revoked, done.already_revoked) == ([], made)
    assert KeyEvent.objects.filter(kind="revoked").count() == 2


def test_one_key_given_twice_is_revoked_once():
    key = make_key().key

    done = keys.revoke_many([key, fresh(key)], reason="left")

    assert done.revoked == [key]


def test_no_keys_are_no_work():
    done = keys.revoke_many([], reason="left")

    assert (done.revoked, done.already_revoked) == ([], [])


def test_replacements_that_the_caller_could_not_know_of_stop_too():
    old, other = make_key(), make_key()
    seen = fresh(old.key)
    new = keys.rotate(old.key)
    newer = keys.rotate(new.key)

    done = keys.revoke_many([other.key, seen], reason="leaked")

    assert [code(issued) for issued in (old, new, newer, other)] == ["key_revoked"] * 4
    assert done.revoked == [old.key, other.key, new.key, newer.key]


def test_replacement_of_a_replacement_that_was_made_meanwhile_stops_and_the_first_key_works_on():
    first = make_key()
    second = keys.rotate(first.key)
    seen = fresh(second.key)
    third = keys.rotate(second.key)

    keys.revoke_many([seen], reason="leaked")

    assert [code(issued) for issued in (first, second, third)] == [None, "key_revoked", "key_revoked"]


def test_replacements_that_the_caller_knew_of_work_on():
    old = make_key()
    new = keys.rotate(old.key)

    keys.revoke_many([fresh(old.key)], reason="leaked")

    assert [code(issued) for issued in (old, new)] == ["key_revoked", None]


def test_replacement_that_is_revoked_already_is_neither_revoked_again_nor_reported():
    key = make_key().key
    seen = fresh(key)
    keys.revoke(keys.rotate(key).key, reason="left")

    done = keys.revoke_many([seen], reason="leaked")

    assert (done.revoked, done.already_revoked) == ([key], [])


def test_unknown_reason_is_refused():
    with pytest.raises(ValueError, match="bored"):
        keys.revoke_many([make_key().key], reason="bored")


def test_note_that_holds_a_key_is_refused_before_anything_is_revoked():
    issued = make_key()

    with pytest.raises(errors.NameRefusedError):
        keys.revoke_many([issued.key], reason="other", note=issued.plaintext)

    assert code(issued) is None


@pytest.mark.parametrize(
    ("rights", "revoked"), [(["revoke_apikey"], 1), (["change_apikey", "rotate_apikey"], 0)], ids=["right", "others"]
)
def test_only_the_right_to_revoke_revokes(rights, revoked):
    key, person = make_key().key, PersonFactory(rights=rights)

    refused = race_of_one(partial(keys.revoke_many, [key], reason="left", by=person))

    assert KeyRevocation.objects.count() == revoked
    assert isinstance(refused, errors.NotPermittedError) != bool(revoked)


def race_of_one(call):
    try:
        return call()
    except errors.APIKeysError as error:
        return error


def queries_for(count):
    made = insert_keys(count)
    with CaptureQueriesContext(connection) as queries:
        keys.revoke_many(made, reason="left")
    KeyEvent.objects.all().delete()
    KeyRevocation.objects.all().delete()
    APIKey.objects.all().delete()
    return len(queries)


def test_fifty_keys_cost_as_many_queries_as_two():
    assert queries_for(50) == queries_for(2)


@pytest.mark.django_db(transaction=True)
def test_two_runs_over_some_of_the_same_keys_revoke_each_once():
    for _ in range(ROUNDS):
        made = [make_key().key for _ in range(6)]
        calls = [
            partial(keys.revoke_many, made[:4], reason="leaked"),
            partial(keys.revoke_many, list(reversed(made[2:])), reason="left"),
        ]

        results = of_type(race(*calls), keys.RevokedKeys)

        assert sorted(key.pk for done in results for key in done.revoked) == sorted(key.pk for key in made)
        assert KeyEvent.objects.filter(kind="revoked", key__in=made).count() == len(made)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", [1, -1], ids=["many-first", "one-first"])
def test_one_run_and_a_single_revocation_at_once_revoke_each_key_once(turn):
    for _ in range(ROUNDS):
        made = [make_key().key for _ in range(3)]
        calls: list[Callable[[], object]] = [
            partial(keys.revoke_many, made, reason="leaked"),
            partial(keys.revoke, fresh(made[1]), reason="left"),
        ]

        race(*calls[::turn])

        assert KeyRevocation.objects.filter(key__in=made).count() == 3
        assert KeyEvent.objects.filter(kind="revoked", key__in=made).count() == 3


@pytest.mark.django_db(transaction=True)
def test_rotation_at_the_same_time_leaves_no_working_key():
    for turn in range(2 * ROUNDS):
        made = [make_key().key for _ in range(3)]
        calls = [
            partial(keys.revoke_many, made, reason="leaked"),
            partial(keys.rotate, fresh(made[0])),
            partial(keys.rotate, fresh(made[2])),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        assert not APIKey.objects.working().filter(family__in=[key.family for key in made]).exists()


@pytest.mark.django_db(transaction=True)
def test_two_runs_and_rotations_in_the_same_families_end_without_a_deadlock():
    for turn in range(ROUNDS):
        made = [make_key().key for _ in range(4)]
        heirs = [keys.rotate(key).key for key in made[:2]]
        seen = [fresh(key) for key in (*heirs, *made[2:])]
        calls = [
            partial(keys.revoke_many, seen, reason="leaked"),
            partial(keys.revoke_many, list(reversed(seen)), reason="left"),
            partial(keys.rotate, fresh(heirs[0])),
            partial(keys.rotate, fresh(made[3])),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        dead = APIKey.objects.filter(family__in=[key.family for key in made]).exclude(
            pk__in=[key.pk for key in made[:2]]
        )
        assert not dead.working().exists()
        assert KeyEvent.objects.filter(kind="revoked", key__in=dead).count() == dead.count()


@pytest.mark.django_db(transaction=True)
def test_issuing_for_the_same_client_at_the_same_time_costs_neither_change():
    for number in range(ROUNDS):
        gilfoyle, apps = UserFactory(is_superuser=True), [ClientFactory(), ClientFactory()]
        made = [make_key(client=app).key for app in apps]
        issue = partial(
            keys.issue, apps[1], name=f"Key {number}", scopes="todo:read", owner=gilfoyle, by=gilfoyle,
            lifetime=timedelta(days=1),
        )  # fmt: skip

        results = race(partial(keys.revoke_many, made, reason="leaked", by=gilfoyle), issue)

        assert len(of_type(results, keys.IssuedKey)) == 1
        assert KeyRevocation.objects.filter(key__in=made).count() == 2


@pytest.mark.django_db(transaction=True)
def test_other_changes_of_the_same_clients_at_the_same_time_are_not_lost():
    for _ in range(ROUNDS):
        apps = [ClientFactory(), ClientFactory()]
        made = [make_key(client=app).key for app in apps]
        calls: list[Callable[[], object]] = [partial(keys.revoke_many, made, reason="leaked")]
        calls += [partial(clients.disable, app) for app in reversed(apps)]
        calls += [partial(keys.edit, fresh(key), name=f"Renamed {key.pk}", note="") for key in reversed(made)]

        race(*calls)

        assert KeyRevocation.objects.filter(key__in=made).count() == 2
        assert [fresh(key).name for key in made] == [f"Renamed {key.pk}" for key in made]
        assert not any(fresh(key).client.is_active for key in made)
