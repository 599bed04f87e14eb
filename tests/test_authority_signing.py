from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter

from apikeys.authority import signing
from apikeys.authority.models import SigningKey
from apikeys.authority.signing import NoSigningKeyError, signing_key
from apikeys.logging import complaints
from apikeys.signed import keys as signed_keys
from tests.signing_keys import (
    AHEAD,
    INSTANT,
    KEPT,
    NOW,
    OTHER_SECRET,
    SECRET,
    kids,
    pem,
    published,
    rotate,
    signer,
    with_settings,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
#: When the second of two keys takes over.
SWITCH = NOW + AHEAD


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def told_nothing_yet():
    pass_a_minute()


@pytest.fixture
def two_keys():
    """Return the ids of a key and of the one that takes over at SWITCH."""
    rotate()
    rotate("--force")
    return kids()


def pass_a_minute():
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    for message in complaints._told_at:  # noqa: SLF001
        complaints._told_at[message] -= complaints.SECONDS_BETWEEN  # noqa: SLF001


def queries(call):
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


def kid_of(given):
    return signed_keys.read_private(given).kid


@pytest.mark.parametrize(("early", "old_one_counts"), [(INSTANT, True), (timedelta(0), False)], ids=["before", "at"])
def test_an_old_key_is_published_until_its_last_token_has_ended(early, old_one_counts, two_keys):
    old, new = two_keys

    assert published(SWITCH + KEPT - early) == ({old, new} if old_one_counts else {new})


def test_a_lifetime_that_was_lowered_takes_no_key_from_tokens_that_live(two_keys):
    old, new = two_keys
    with with_settings(SIGNED_TOKEN_LIFETIME=HOUR):
        signer(NOW)

    # The last one that lives an hour may have been signed at the very end of the old key's turn.
    assert published(SWITCH + HOUR) == {old, new}


def test_a_lifetime_that_was_raised_and_not_signed_with_keeps_no_key_longer(two_keys):
    with with_settings(SIGNED_TOKEN_LIFETIME=HOUR):
        pass

    assert published(SWITCH + HOUR) == {two_keys[1]}


def test_a_raised_lifetime_is_written_once(two_keys):
    with with_settings(SIGNED_TOKEN_LIFETIME=HOUR):
        signer(NOW)

        assert queries(lambda: signer(NOW)) == 1


def test_a_process_whose_clock_is_behind_signs_with_the_first_key():
    rotate()

    assert signer(NOW - timedelta(seconds=5)) == kids()[0]


def test_a_key_that_another_process_withdrew_signs_no_more(two_keys):
    old, new = two_keys
    assert signer(NOW) == old

    SigningKey.objects.filter(kid=old).delete()

    assert signer(NOW) == new


def test_signing_and_publishing_cost_a_query_each(two_keys):
    signer(NOW)

    assert queries(lambda: signer(NOW)) == 1
    assert queries(lambda: published(NOW)) == 1


def test_the_private_part_is_not_read_to_publish(two_keys):
    with CaptureQueriesContext(connection) as captured:
        published(NOW)

    assert "private" not in captured[0]["sql"]


def test_without_a_key_nothing_signs_and_nothing_is_published():
    with pytest.raises(NoSigningKeyError, match="rotate_signing_key"):
        signer(NOW)

    assert published(NOW) == frozenset()


def test_where_the_newest_key_cannot_be_opened_no_older_one_steps_in():
    rotate()
    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]):
        rotate("--force")

    with pytest.raises(NoSigningKeyError, match=kids()[1]):
        signer(NOW)


@pytest.mark.parametrize("secrets", [[], [OTHER_SECRET], ["c2hvcnQ="]], ids=["none", "another", "malformed"])
def test_what_no_secret_opens_signs_nothing(secrets, two_keys):
    signer(NOW)

    with with_settings(SIGNING_KEY_SECRETS=secrets), pytest.raises(NoSigningKeyError) as caught:
        signer(NOW)

    assert not any(secret in str(caught.value) for secret in secrets)


def test_what_no_secret_opens_is_published_all_the_same(two_keys):
    with with_settings(SIGNING_KEY_SECRETS=[]):
        assert published(NOW) == set(two_keys)


def test_an_older_secret_opens_as_well(two_keys):
    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET, SECRET]):
        assert signer(NOW) == two_keys[0]


def test_a_private_part_that_was_swapped_signs_nothing(two_keys):
    old, new = two_keys
    SigningKey.objects.filter(kid=old).update(private=SigningKey.objects.get(kid=new).private)

    with pytest.raises(NoSigningKeyError, match="another one"):
        signer(NOW)


def test_that_nothing_signs_is_logged_once_a_minute_without_the_secret(two_keys, caplog):
    def ask_twice():
        for _ in range(2):
            with pytest.raises(NoSigningKeyError):
                signer(NOW)

    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET]), caplog.at_level(logging.ERROR, logger="apikeys.auth"):
        ask_twice()
        pass_a_minute()
        ask_twice()

    assert [record.reason for record in caplog.records] == ["no_signing_key"] * 2
    assert two_keys[0] in caplog.text
    assert OTHER_SECRET not in caplog.text


def test_the_first_key_of_the_settings_signs_and_all_are_published():
    first, second = pem(), pem()

    with with_settings(SIGNING_KEYS=[first, second]):
        assert signer(NOW) == kid_of(first)
        assert published(NOW) == {kid_of(first), kid_of(second)}


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\\n"),
        lambda text: json.dumps(signed_keys.read_private(text).private_jwk()),
        lambda text: signed_keys.read_private(text).private_jwk(),
    ],
    ids=["PEM", "PEM on one line", "JWK", "JWK as a dict"],
)
def test_a_key_of_the_settings_may_be_written_as(written):
    text = pem()

    with with_settings(SIGNING_KEYS=[written(text)]):
        assert signer(NOW) == kid_of(text)


def test_keys_of_the_database_stay_published_beside_those_of_the_settings(two_keys):
    text = pem()

    with with_settings(SIGNING_KEYS=[text]):
        assert published(NOW) == {kid_of(text), *two_keys}


def test_a_key_that_stands_in_both_places_is_published_once():
    rotate()
    private = signing_key(now=NOW).private_jwk()

    with with_settings(SIGNING_KEYS=[private]):
        assert published(NOW) == set(kids())


def test_other_settings_are_read_anew():
    first, second = pem(), pem()
    with with_settings(SIGNING_KEYS=[first]):
        signer(NOW)

    with with_settings(SIGNING_KEYS=[second]):
        assert signer(NOW) == kid_of(second)


@pytest.mark.parametrize("broken", ["-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", '{"kty": "oct", "k": "c2VjcmV0"}'])
def test_a_key_of_the_settings_that_cannot_be_read_signs_and_publishes_nothing(broken):
    with with_settings(SIGNING_KEYS=[pem(), broken]):
        with pytest.raises(NoSigningKeyError, match="number 2") as caught:
            signer(NOW)
        with pytest.raises(NoSigningKeyError):
            published(NOW)

    assert "c2VjcmV0" not in str(caught.value)


def test_two_keys_of_the_settings_with_one_name_are_refused():
    one, other = (signed_keys.read_private(pem()).private_jwk() | {"kid": "same"} for _ in range(2))

    with with_settings(SIGNING_KEYS=[one, other]), pytest.raises(NoSigningKeyError, match="An earlier one has its kid"):
        signer(NOW)


def report_of(call):
    """Return what Django's error report, as a page and as text, says of the exception that *call* raises."""
    with pytest.raises(NoSigningKeyError) as caught:
        call()
    reporter = ExceptionReporter(None, caught.type, caught.value, caught.tb)
    return reporter.get_traceback_html() + reporter.get_traceback_text()


def test_error_reports_show_no_key_of_the_settings():
    text, jwk = pem(), signed_keys.read_private(pem()).private_jwk()

    with with_settings(SIGNING_KEYS=[text, jwk, text.replace("BEGIN", "BEGUN")]):
        report = report_of(lambda: signer(NOW))

    assert signing.__file__ in report
    assert text.splitlines()[1] not in report
    assert jwk["d"] not in report


def test_error_reports_show_no_secret(two_keys):
    signer(NOW)
    SigningKey.objects.filter(kid=two_keys[0]).update(private=SigningKey.objects.get(kid=two_keys[1]).private)

    with with_settings(SIGNING_KEY_SECRETS=[OTHER_SECRET, SECRET]):
        report = report_of(lambda: signer(NOW))

    assert signing.__file__ in report
    assert SECRET not in report
    assert OTHER_SECRET not in report
