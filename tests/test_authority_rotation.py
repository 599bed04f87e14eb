from __future__ import annotations

import random
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from apikeys.authority.models import SigningKey
from apikeys.authority.rotation import new_key
from apikeys.authority.signing import signing_key
from apikeys.conf import settings
from apikeys.models import EventKind, KeyEvent
from apikeys.testing import assert_not_stored
from tests.signing_keys import (
    AHEAD,
    INSTANT,
    KEPT,
    LIFETIME,
    NOW,
    OTHER_SECRET,
    SECRET,
    kids,
    pem,
    published,
    rotate,
    served,
    signer,
    with_settings,
)

pytestmark = pytest.mark.django_db

#: When the next key is due after one that signs since NOW.
DUE = NOW + LIFETIME - AHEAD


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def two_keys(clock):
    """Return the ids of a key and of the next one, at the instant at which that is published."""
    rotate()
    clock.move_to(DUE)
    rotate()
    return kids()


def test_the_first_key_signs_at_once():
    result = rotate()

    assert result.code == 0
    assert [signer(NOW)] == kids()
    assert "The new signing key signs from now on." in result.err


@pytest.mark.parametrize(("early", "made"), [(INSTANT, 0), (timedelta(0), 1)], ids=["before it is due", "when it is"])
def test_the_next_key_is_made_when_the_newest_has_had_its_time(early, made, clock):
    rotate()
    clock.move_to(DUE - early)

    result = rotate("--json")

    assert result.code == 0
    assert result.json["counts"] == {"due": made, "made": made, "deleted": 0, "resealed": 0}
    assert len(kids()) == 1 + made


def test_nothing_is_made_while_the_newest_waits(two_keys):
    result = rotate("--json")

    assert result.json["counts"]["made"] == 0
    assert kids() == two_keys


def test_the_next_key_is_published_at_once_and_signs_later(two_keys):
    old, new = two_keys

    assert [key["kid"] for key in served()] == [old, new]
    assert signer(DUE + AHEAD - INSTANT) == old
    assert signer(DUE + AHEAD) == new


@pytest.mark.parametrize(("early", "deleted"), [(INSTANT, 0), (timedelta(0), 1)], ids=["tokens live", "tokens ended"])
def test_an_old_key_goes_when_its_last_token_has_ended(early, deleted, two_keys, clock):
    clock.move_to(NOW + LIFETIME + KEPT - early)

    result = rotate("--json")

    assert result.json["counts"]["deleted"] == deleted
    assert kids() == two_keys[deleted:]


def test_the_runs_of_a_year_leave_two_keys(clock):
    for day in range(365):
        clock.move_to(NOW + timedelta(days=day))
        rotate()

    assert len(kids()) in {1, 2}
    assert KeyEvent.objects.filter(kind=EventKind.SIGNING_KEY_MADE).count() == 13


def test_a_run_that_was_missed_leaves_the_old_key_signing(clock):
    rotate()
    clock.move_to(NOW + 3 * LIFETIME)

    assert signer(NOW + 3 * LIFETIME) == kids()[0]
    assert rotate("--json").json["counts"]["made"] == 1
    assert signer(NOW + 3 * LIFETIME) == kids()[0]


def test_force_makes_a_key_that_is_published_before_it_signs():
    rotate()

    result = rotate("--force")

    old, new = kids()
    assert result.code == 0
    assert signer(NOW + AHEAD - INSTANT) == old
    assert signer(NOW + AHEAD) == new


def test_a_key_never_signs_before_one_that_was_made_earlier(clock):
    rotate()
    rotate("--force")
    clock.shift(timedelta(minutes=1))
    with with_settings(SIGNING_KEY_PUBLISHED_AHEAD=timedelta(minutes=10)):
        rotate("--force")

    first, second, third = SigningKey.objects.order_by("pk")
    assert second.signs_from == third.signs_from == NOW + AHEAD
    assert signer(NOW + AHEAD - INSTANT) == first.kid
    assert signer(NOW + AHEAD) == third.kid


@pytest.mark.parametrize(("algorithm", "kty"), [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")], ids=str.lower)
def test_a_new_key_is_of_the_algorithm_in_the_settings(algorithm, kty):
    with with_settings(SIGNING_ALGORITHM=algorithm):
        rotate()

    assert [(key["alg"], key["kty"]) for key in served()] == [(algorithm, kty)]


def test_an_event_says_which_key_was_made():
    rotate()

    event = KeyEvent.objects.get()
    assert (event.kind, event.client, event.key, event.source) == (EventKind.SIGNING_KEY_MADE, None, None, "command")
    assert event.details == {"kid": kids()[0], "algorithm": "ES256", "signs_from": NOW.isoformat()}


def test_the_private_part_is_stored_and_shown_nowhere(caplog):
    rotate()
    private = signing_key(now=NOW).private_jwk()["d"]
    result = rotate("--force", "--json")

    assert_not_stored(private)
    assert private not in result.raw + result.err + caplog.text


def test_dry_run_changes_nothing_and_says_what_is_due():
    result = rotate("--dry-run", "--json")

    assert result.code == 0
    assert result.json["dry_run"] is True
    assert result.json["counts"]["due"] == 1
    assert kids() == []
    assert "Nothing was changed." in result.err


@pytest.mark.parametrize(("early", "code"), [(INSTANT, 0), (timedelta(0), 4)], ids=["before it is due", "when it is"])
def test_check_exits_with_4_when_a_key_is_due(early, code, clock):
    rotate()
    clock.move_to(DUE - early)

    assert rotate("--check").code == code
    assert len(kids()) == 1


def test_status_says_what_each_key_is_for(two_keys, clock):
    rotate("--force")
    clock.move_to(DUE + AHEAD)

    result = rotate("--status", "--json")

    rows = [(row["kid"], row["state"]) for row in result.json["keys"]]
    waits = kids()[2]
    assert rows == [(two_keys[0], "retiring"), (two_keys[1], "retiring"), (waits, "signing")]
    assert result.json["keys"][0]["published_until"] == "2026-12-22T12:15:30Z"


def test_status_on_a_terminal_is_a_table(two_keys):
    result = rotate("--status", terminal=200)

    assert "published, does not sign yet" in result.out
    assert two_keys[1] in result.out


def test_status_without_a_key_says_what_to_do():
    result = rotate("--status")

    assert result.code == 0
    assert "There is no signing key." in result.err


@pytest.mark.parametrize("option", ["--force", "--check", "--dry-run", "--compromised=x"])
def test_status_goes_with_no_option_that_changes(option):
    assert rotate("--status", option).code == 2


def test_cron_hears_nothing_when_nothing_was_due():
    rotate()

    result = rotate("--verbosity", "0")

    assert (result.code, result.raw, result.err) == (0, "", "")


def test_without_a_secret_no_key_is_made():
    with with_settings(SIGNING_KEY_SECRETS=[]):
        result = rotate("--json")

    assert result.code == 1
    assert result.json["error"]["code"] == "signing_key_secrets"
    assert kids() == []


def test_a_key_is_sealed_anew_by_a_new_first_secret():
    rotate()
    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET, SECRET]):
        again = [rotate("--json").json["counts"]["resealed"] for _ in range(2)]

    assert again == [1, 0]
    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]):
        assert signer(NOW) == kids()[0]


def test_with_a_wrong_secret_no_key_is_made_that_the_site_could_not_read(clock):
    rotate()
    clock.move_to(DUE)

    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]):
        result = rotate("--json")

    assert result.code == 1
    assert result.json["error"]["code"] == "signing_key_unreadable"
    assert len(kids()) == 1


def test_a_secret_that_opens_nothing_is_told_although_nothing_is_due():
    rotate()

    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]):
        result = rotate("--json")

    assert result.code == 3
    assert result.json["unreadable"] == kids()


def test_where_the_secret_is_lost_force_makes_a_key_that_signs_at_once():
    rotate()

    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]):
        result = rotate("--force")

        assert result.code == 0
        assert signer(NOW) == kids()[1]
    assert published(NOW) == set(kids())


def test_a_compromised_key_is_published_no_more_and_another_signs_at_once():
    rotate()
    [stolen] = kids()

    result = rotate("--compromised", stolen)

    [new] = kids()
    assert result.code == 0
    assert new != stolen
    assert signer(NOW) == new
    assert [key["kid"] for key in served()] == [new]


def test_the_event_says_which_key_was_withdrawn():
    rotate()
    [stolen] = kids()

    rotate("--compromised", stolen)

    assert KeyEvent.objects.first().details["withdrawn"] == stolen


def test_withdrawing_a_key_that_does_not_sign_leaves_the_one_that_does(two_keys):
    signs, waits = two_keys

    result = rotate("--compromised", waits)

    assert result.code == 0
    assert signer(DUE) == signs
    assert published(DUE) == {signs, kids()[1]}
    assert signer(DUE + AHEAD) == kids()[1] != waits


def test_several_keys_are_withdrawn_at_once(two_keys):
    result = rotate("--compromised", two_keys[0], "--compromised", two_keys[1])

    assert result.code == 0
    [new] = kids()
    assert new not in two_keys
    assert signer(DUE) == new


def test_every_key_can_be_named_on_a_command_line():
    # One thumbprint in 64 would begin with a hyphen.
    assert not any(new_key("EdDSA").kid.startswith("-") for _ in range(500))


def test_the_next_rotation_follows_a_key_that_signed_at_once_beside_one_that_waits(two_keys, clock):
    rotate("--compromised", two_keys[0])
    assert len(kids()) == 2

    clock.move_to(DUE + AHEAD + LIFETIME)
    result = rotate("--json")

    assert result.json["counts"]["made"] == 1


@pytest.mark.parametrize("option", ["--json", "--dry-run"])
def test_an_unknown_key_is_not_withdrawn(option):
    rotate()

    result = rotate("--compromised", "nobody", option)

    assert result.code == 2
    assert len(kids()) == 1


def test_keys_in_the_settings_make_no_key_due():
    with with_settings(SIGNING_KEYS=[pem()]):
        assert rotate("--json").json["counts"]["due"] == 0
        assert "The first of SIGNING_KEYS signs" in rotate("--status").err
    assert kids() == []


@pytest.mark.parametrize("secrets", [[SECRET], []], ids=["readable", "without-its-secret"])
def test_beside_keys_in_the_settings_a_stored_one_is_withdrawn_and_none_is_made(secrets):
    rotate()
    [stored] = kids()

    with with_settings(SIGNING_KEYS=[pem()], SIGNING_KEY_SECRETS=secrets):
        result = rotate("--compromised", stored, "--json")
        given = signer(NOW)
        shown = [key["kid"] for key in served()]

    assert result.code == 0
    assert result.json["counts"] == {"due": 1, "made": 0, "deleted": 1, "resealed": 0}
    assert f"Withdrawn: {stored}." in result.err
    assert shown == [given]
    assert KeyEvent.objects.first().details == {"withdrawn": stored}


def test_no_token_outlives_the_publication_of_its_key(clock):
    dice = random.Random(4)
    live = []
    changed = {}
    rotate()
    for _ in range(400):
        clock.shift(timedelta(minutes=dice.randint(1, 20)))
        now = timezone.now()
        if dice.random() < 0.1:
            changed = {
                "SIGNED_TOKEN_LIFETIME": timedelta(minutes=dice.choice([1, 10, 90])),
                "SIGNING_KEY_LIFETIME": timedelta(hours=dice.choice([1, 3])),
                "SIGNING_KEY_PUBLISHED_AHEAD": timedelta(minutes=dice.choice([0, 5, 30])),
            }
        with with_settings(**changed):
            live.append((signer(now), now + settings.SIGNED_TOKEN_LIFETIME + settings.CLOCK_LEEWAY))
            if dice.random() < 0.3:
                rotate(*(["--force"] if dice.random() < 0.2 else []))
            live = [(kid, end) for kid, end in live if end > now]
            assert {kid for kid, _end in live} <= published(now)
