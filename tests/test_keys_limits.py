from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from apikeys import clients, keys, signals
from apikeys.core import errors
from apikeys.models import KeyEvent
from apikeys.testing import make_key
from tests import commands
from tests.factories import ClientFactory, PersonFactory, UserFactory
from tests.races import fresh, of_type, race
from tests.request_path import statements

pytestmark = pytest.mark.django_db


def issue(**fields):
    return keys.issue(ClientFactory(), name="Export", scopes="todo:read", **fields).key


def limits(key):
    stored = fresh(key)
    return (stored.rates, stored.quotas)


def events_of(key, kind="limits_changed"):
    return list(KeyEvent.objects.filter(key=key, kind=kind).order_by("pk"))


def test_a_key_is_issued_without_limits_of_its_own():
    assert limits(issue()) == ([], [])


def test_limits_are_stored_as_they_are_usually_written():
    key = issue(rates=["600 / minute", "", "20/second"], quotas="5000/d\n100000/month")

    assert limits(key) == (["20/s", "600/min"], ["5000/day", "100000/month"])


def test_of_two_rates_of_one_window_the_stricter_is_stored():
    assert limits(issue(rates=["100/min", "60/min"]))[0] == ["60/min"]


def test_what_a_key_was_issued_with_is_on_record():
    key = issue(rates=["20/s"], quotas=["100000/month"])

    (event,) = events_of(key, "issued")
    assert (event.details["rates"], event.details["quotas"]) == (["20/s"], ["100000/month"])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(
            {"rates": ["20/s", "600/fortnight"]},
            "Line 2: “600/fortnight” is not a rate. Write it as 600/min or 20/s.",
            id="unit",
        ),
        pytest.param({"rates": ["0/min"]}, "Line 1: “0/min” is not a rate. Write it as 600/min or 20/s.", id="nothing"),
        pytest.param(
            {"quotas": ["\n", "100/week"]},
            "Line 2: “100/week” is not a quota. Write it as 100000/month or 5000/day.",
            id="quota",
        ),
        pytest.param({"rates": ["1/s"] * 11}, "At most 10 rates can be listed.", id="many-rates"),
        pytest.param({"quotas": ["1/day"] * 11}, "At most 10 quotas can be listed.", id="many-quotas"),
    ],
)
def test_what_is_no_limit_is_refused_with_its_line(given, sentence):
    key = make_key().key

    with pytest.raises(errors.ChangeRefusedError) as at_issue:
        issue(**given)
    with pytest.raises(errors.ChangeRefusedError) as later:
        keys.set_limits(key, **{"rates": (), "quotas": (), **given})
    with pytest.raises(errors.ChangeRefusedError) as of_client:
        clients.create(name="Partner", **given)

    assert [str(refusal.value) for refusal in (at_issue, later, of_client)] == [sentence] * 3
    assert limits(key) == ([], [])


def test_ten_limits_and_empty_lines_are_taken():
    assert len(limits(issue(rates=[f"9/{seconds}s" for seconds in range(1, 11)] + ["", " "]))[0]) == 10


def test_a_replacement_has_the_limits_of_its_key():
    old = issue(rates=["20/s"], quotas=["100000/month"])

    replacement = keys.rotate(old).key

    assert limits(replacement) == limits(old) == (["20/s"], ["100000/month"])
    assert replacement.family == old.family


def test_a_change_counts_for_every_working_key_of_the_family():
    dead = issue(rates=["20/s"])
    keys.rotate(dead)
    keys.revoke(fresh(dead), reason="leaked")
    old = fresh(dead).replacement
    new = keys.rotate(old).key

    changed = keys.set_limits(new, rates=["5/s"], quotas=["10/day"])

    assert [key.pk for key in changed] == [old.pk, new.pk]
    assert limits(old) == limits(new) == (["5/s"], ["10/day"])
    assert limits(dead) == (["20/s"], [])


def test_a_change_leaves_one_event_for_each_key_with_old_and_new():
    monica = PersonFactory(username="monica", rights=["change_apikey"])
    old = issue(rates=["20/s"])
    new = keys.rotate(old).key

    keys.set_limits(old, rates=["5/s"], quotas=["10/day"], by=monica, source="admin")

    for key in (old, new):
        (event,) = events_of(key)
        assert (event.actor, event.source) == (monica, "admin")
        assert event.details == {"rates": ["5/s"], "quotas": ["10/day"], "old_rates": ["20/s"], "old_quotas": []}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(partial(keys.set_limits, rates=["60/min"], quotas=[]), id="limits"),
        pytest.param(partial(keys.set_claims, claims={"plan": "pro"}), id="claims"),
    ],
)
def test_a_change_costs_the_same_however_often_the_key_was_rotated(change, settings):
    settings.APIKEYS = {**settings.APIKEYS, "CLAIMS": {"plan": "text"}}
    counts = []
    for rotations in (1, 5):
        newest = make_key()
        for _ in range(rotations):
            newest = keys.rotate(newest.key, overlap=timedelta(0))
        with statements() as sql:
            change(newest.key)
        counts.append(len(sql))

    assert counts[0] == counts[1]


def test_the_same_limits_leave_no_event():
    key = issue(rates=["20/s"])

    assert keys.set_limits(key, rates=["20/s"], quotas=[]) == []
    assert events_of(key) == []


def test_the_object_at_hand_has_the_new_limits():
    key = issue()

    keys.set_limits(key, rates=["5 / s"], quotas=[])

    assert key.rates == ["5/s"]


def test_nobody_changes_limits_without_the_right():
    key = issue(rates=["20/s"])

    with pytest.raises(errors.NotPermittedError):
        keys.set_limits(key, rates=[], quotas=[], by=UserFactory())

    assert limits(key) == (["20/s"], [])


@pytest.mark.django_db(transaction=True)
def test_the_signal_follows_the_commit():
    key = issue()
    heard = []

    def hear(sender, key, event, **kwargs):
        heard.append((key.pk, event.details["rates"]))

    signals.limits_changed.connect(hear)
    try:
        keys.set_limits(key, rates=["5/s"], quotas=[])
    finally:
        signals.limits_changed.disconnect(hear)

    assert heard == [(key.pk, ["5/s"])]


@pytest.mark.django_db(transaction=True)
def test_a_rotation_at_the_same_time_keeps_no_older_limits():
    for number in range(6):
        key = issue(rates=["20/s"])
        calls = [partial(keys.rotate, fresh(key)), partial(keys.set_limits, fresh(key), rates=["5/s"], quotas=[])]

        results = race(*(calls if number % 2 else reversed(calls)))

        assert of_type(results, errors.APIKeysError) == []
        assert limits(key) == limits(fresh(key).replacement) == (["5/s"], [])


def test_a_client_has_limits_for_each_of_its_keys():
    client = clients.create(name="Partner", rates=["10/s"], quotas=["1000/day"])

    changed = clients.edit(client, rates=["600/minute"], quotas=["1000/day"])

    client.refresh_from_db()
    assert (client.rates, client.quotas, changed) == (["600/min"], ["1000/day"], ["rates"])
    assert KeyEvent.objects.get(client=client, kind="client_edited").details == {"changed": ["rates"]}


def test_the_command_issues_a_key_with_limits():
    ClientFactory()

    given = ("--rate", "20/s", "--rate", "600/min", "--quota", "100000/month")
    result = commands.issue(*given, "--json", "--show-secrets", owner=None)

    assert result.code == 0
    (row,) = result.json["keys"]
    assert (row["rates"], row["quotas"]) == (["20/s", "600/min"], ["100000/month"])


def test_the_command_refuses_what_is_no_rate_as_wrong_use():
    ClientFactory()

    result = commands.issue("--rate", "600/fortnight", "--show-secrets", owner=None)

    assert result.code == 2
    assert "“600/fortnight” is not a rate. Write it as 600/min or 20/s." in result.err
