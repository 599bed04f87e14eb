from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings

from apikeys import clients, keys, signals
from apikeys.conf import settings
from apikeys.core.claims import MOST_BYTES
from apikeys.core.errors import ClaimRefusedError, NotPermittedError
from apikeys.models import APIKey, Client, KeyEvent
from apikeys.testing import make_key
from tests.factories import ClientFactory, PersonFactory

from .claims import declared, stored

pytestmark = pytest.mark.django_db

PREMIUM = {"subscription": "premium"}


@pytest.fixture(autouse=True)
def _claims():
    with declared():
        yield


def set_on_client(claims, **options):
    app = ClientFactory()
    clients.set_claims(app, claims=claims, **options)
    return stored(app)


def set_on_key(claims, **options):
    key = make_key().key
    keys.set_claims(key, claims=claims, **options)
    return stored(key)


def set_at_issue(claims):
    return stored(make_key(claims=claims).key)


both = pytest.mark.parametrize("say", [set_on_client, set_on_key], ids=["client", "key"])
everywhere = pytest.mark.parametrize("say", [set_on_client, set_on_key, set_at_issue], ids=["client", "key", "issue"])


@everywhere
def test_what_was_said_is_stored(say):
    claims = {"subscription": "premium", "seats": 3, "discount": 0.5, "beta": False, "regions": ["eu", "us"]}

    assert say(claims).claims == claims


@both
def test_what_is_said_takes_the_place_of_all_that_was_said(say):
    row = say({"seats": 3})
    again = clients.set_claims if isinstance(row, Client) else keys.set_claims

    again(row, claims=PREMIUM)

    assert stored(row).claims == row.claims == PREMIUM


@everywhere
@pytest.mark.parametrize(
    ("claims", "name", "sentence"),
    [
        ({"colour": "red"}, "colour", "There is no claim “colour”. Declared are: subscription, seats,"),
        ({"sub": "user:1"}, "sub", "There is no claim “sub”."),
        ({"subscription": "gold"}, "subscription", "“subscription” must be one of: free, premium."),
        ({"seats": "3"}, "seats", "“seats” must be a whole number."),
        ({"discount": float("nan")}, "discount", "“discount” must be a number."),
        ({"beta": "yes"}, "beta", "“beta” must be true or false."),
        ({"contract": "a\nb"}, "contract", "“contract” must be text on one line."),
        ({"regions": []}, "regions", "“regions” must be a list of different texts, each on one line."),
        ({"plans": ["huge"]}, "plans", "“plans” must be some of: small, large."),
        ({"contract": "a" * MOST_BYTES}, "", "Claims may have at most 1024 bytes together."),
    ],
    ids=["undeclared", "registered", "choice", "integer", "number", "boolean", "text", "texts", "some of", "size"],
)
def test_what_is_not_as_declared_is_refused(say, claims, name, sentence):
    with pytest.raises(ClaimRefusedError, match="^" + sentence.replace("?", r"\?")) as refused:
        say(claims)

    assert (refused.value.code, refused.value.name) == ("claim_refused", name)


@pytest.mark.parametrize(("letters", "fits"), [(1009, True), (1010, False)], ids=["at the limit", "one more"])
def test_claims_have_a_kilobyte_together(letters, fits):
    claims = {"contract": "a" * letters}

    if fits:
        # {"contract":"…"} and nothing around it.
        assert len(set_on_client(claims).claims["contract"]) + 15 == MOST_BYTES
    else:
        with pytest.raises(ClaimRefusedError):
            set_on_client(claims)


@everywhere
def test_a_key_that_is_pasted_as_a_claim_is_refused(say):
    plaintext = make_key().plaintext

    with pytest.raises(ClaimRefusedError) as refused:
        say({"contract": f"see {plaintext}"})

    assert plaintext not in str(refused.value)


@both
def test_setting_claims_leaves_what_changed_on_record(say):
    gilfoyle = PersonFactory(username="gilfoyle", rights=["set_claims"])
    row = say({"subscription": "free", "seats": 3})
    again = clients.set_claims if isinstance(row, Client) else keys.set_claims

    again(row, claims={"subscription": "premium", "beta": True}, by=gilfoyle, source="admin")

    event = KeyEvent.objects.filter(kind="claims_set").latest("pk")
    assert (event.actor, event.source) == (gilfoyle, "admin")
    assert event.details == {
        "changed": ["beta", "seats", "subscription"],
        "old": {"subscription": "free", "seats": 3},
        "new": {"subscription": "premium", "beta": True},
    }


@both
def test_setting_what_is_said_already_leaves_no_event(say):
    row = say({"regions": ["eu"]})
    again = clients.set_claims if isinstance(row, Client) else keys.set_claims

    again(row, claims={"regions": ("eu",)})

    assert KeyEvent.objects.filter(kind="claims_set").count() == 1


def test_an_issue_says_in_its_event_which_claims_the_key_has():
    key = make_key(claims=PREMIUM).key

    assert KeyEvent.objects.get(key=key, kind="issued").details["claims"] == PREMIUM


RIGHTS = [
    "change_client",
    "change_apikey",
    "issue_apikey",
    "issue_apikey_for_others",
    "issue_service_apikey",
    "rotate_apikey",
    "revoke_apikey",
]


@both
def test_who_may_do_everything_else_sets_no_claims(say):
    row = say({})
    again = clients.set_claims if isinstance(row, Client) else keys.set_claims

    with pytest.raises(NotPermittedError):
        again(row, claims=PREMIUM, by=PersonFactory(rights=RIGHTS))

    assert stored(row).claims == {}


def test_who_may_not_set_claims_issues_no_key_with_any():
    with pytest.raises(NotPermittedError):
        make_key(owner=None, claims=PREMIUM, by=PersonFactory(rights=RIGHTS))

    assert not APIKey.objects.exists()


def test_who_may_set_claims_issues_keys_with_them():
    issued = make_key(owner=None, claims=PREMIUM, by=PersonFactory(rights=[*RIGHTS, "set_claims"]))

    assert stored(issued.key).claims == PREMIUM


def test_who_may_not_set_claims_issues_keys_without():
    assert stored(make_key(owner=None, by=PersonFactory(rights=RIGHTS)).key).claims == {}


@pytest.mark.parametrize("write", [clients.create, clients.edit], ids=["create", "edit"])
def test_claims_are_none_of_the_fields_that_who_may_change_clients_sets(write):
    subject = [ClientFactory()] if write is clients.edit else []
    options = {} if subject else {"name": "Web app"}

    with pytest.raises(TypeError, match="no field claims"):
        write(*subject, claims=PREMIUM, **options)


def test_a_replacement_says_what_the_key_said():
    key = make_key(claims=PREMIUM).key

    assert stored(keys.rotate(key).key).claims == PREMIUM


def test_a_key_and_its_replacement_say_the_same():
    old = make_key(claims=PREMIUM).key
    stale = stored(old)
    new = keys.rotate(old).key

    changed = keys.set_claims(stale, claims={"subscription": "free"})

    assert stored(old).claims == stored(new).claims == {"subscription": "free"}
    assert [key.key_id for key in changed] == [old.key_id, new.key_id]


def test_a_dead_key_of_the_family_keeps_what_it_said():
    old = make_key(claims=PREMIUM).key
    new = keys.rotate(old, overlap=timedelta(0)).key

    keys.set_claims(new, claims={})

    assert stored(old).claims == PREMIUM


def test_receivers_are_told_of_each_key(django_capture_on_commit_callbacks):
    key, told = make_key().key, []

    def note(key, event, **kwargs):
        told.append((key.claims, event.kind))

    signals.claims_set.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            keys.set_claims(key, claims=PREMIUM)
    finally:
        signals.claims_set.disconnect(note)

    assert told == [(PREMIUM, "claims_set")]


def test_receivers_are_told_of_a_client(django_capture_on_commit_callbacks):
    app, told = ClientFactory(), []

    def note(client, event, **kwargs):
        told.append((client.claims, event.kind))

    signals.client_changed.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            clients.set_claims(app, claims=PREMIUM)
    finally:
        signals.client_changed.disconnect(note)

    assert told == [(PREMIUM, "claims_set")]


def test_what_is_declared_no_more_can_be_taken_away():
    app = set_on_client({"seats": 3})

    with override_settings(APIKEYS={**settings.given(), "CLAIMS": {"subscription": "text"}}):
        clients.set_claims(app, claims={})

    assert stored(app).claims == {}
