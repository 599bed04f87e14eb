from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model

from apikeys import clients
from apikeys.models import APIKey, Client
from apikeys.testing import make_key
from tests.commands import issue, keys_in
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def richard():
    return UserFactory(username="richard")


WRONG_USE = {
    "unknown scope": ((), {"scope": "todo:raed"}, "scope_undeclared", "Did you mean 'todo:read'?"),
    "no scope": ((), {"scope": None}, "scopes_empty", "todo:read, todo:write, usage:read"),
    "unknown owner": ((), {"owner": "nobody"}, "owner_unknown", "There is no user called “nobody”."),
    "unknown client": (("--client", "x"), {}, "client_unknown", "“x”"),
    "bad network": (("--network", "10.0.0.0/99"), {}, "network_syntax", "10.0.0.0/99"),
    "too long a life": (("--lifetime", "400d"), {}, "lifetime_refused", "365 days"),
    "endless": (("--lifetime", "never"), {}, "lifetime_refused", "does not allow keys without expiry"),
    "empty name": ((), {"name": " "}, "name_refused", "Give the key a name."),
    "bad new owner": (("--create-owner",), {"owner": "a b"}, "owner_refused", "valid username"),
    "new owner of a service key": (("--create-owner",), {"owner": None}, "wrong_use", "--create-owner needs --owner."),
    "file and stdout": (("--output", "x", "--show-secrets"), {}, "wrong_use", "either"),
}


@pytest.mark.parametrize(("options", "fields", "code", "words"), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_exits_with_two_and_says_what_is_wrong(richard, options, fields, code, words):
    show = () if "--output" in options else ("--show-secrets",)

    result = issue("--json", *show, *options, **fields)

    assert result.code == 2
    assert result.json["error"]["code"] == code
    assert words in result.json["error"]["detail"]
    assert words in result.err


def test_wrong_use_leaves_nothing_behind():
    issue("--create-owner", "--show-secrets", scope="todo:erase", owner="newcomer")

    assert not Client.objects.exists()
    assert not get_user_model().objects.exists()


def test_scope_above_the_ceiling_is_told_with_the_way_out(richard):
    ClientFactory(name="Watch", allowed_scopes=["todo:read"])

    result = issue("--show-secrets", "--json", scope="todo:write")

    assert (result.code, result.json["error"]["code"]) == (2, "scope_above_ceiling")
    assert (
        "The client “Watch” may not hold: todo:write. "
        "Change its permissions in the admin (Clients) or with clients.set_ceiling."
    ) in result.err


def test_refused_state_exits_with_one(richard):
    clients.disable(ClientFactory(name="Watch"))

    result = issue("--show-secrets", "--json")

    assert (result.code, result.json["error"]["code"]) == (1, "client_disabled")


def test_second_run_does_not_issue_the_key_again(richard):
    issue("--show-secrets")

    result = issue("--show-secrets", "--json")

    assert (result.code, result.json["error"]["code"]) == (1, "name_taken")
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize(
    "text", ["14x", "-1d", "1.5d", "9999999999d", "40000d", "", "14 days"], ids=lambda text: text or "empty"
)
def test_unreadable_length_of_time_is_wrong_use(richard, text):
    result = issue(f"--lifetime={text}", "--show-secrets")

    assert result.code == 2
    assert "lifetime" in result.err


def test_key_in_the_wrong_option_is_not_repeated(richard):
    plaintext = make_key().plaintext

    result = issue("--client", plaintext, "--json", "--show-secrets")

    assert result.code == 2
    assert keys_in(result.raw, result.err) == []


def test_key_among_unknown_arguments_is_not_repeated(richard):
    result = issue(make_key().plaintext, "--show-secrets")

    assert result.code == 2
    assert keys_in(result.err) == []


def test_error_is_json_on_stdout(richard):
    result = issue("--json", scope="todo:raed")

    assert json.loads(result.out) == result.json
    assert set(result.json) == {"error"}
