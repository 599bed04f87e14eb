"""An API server in a project without a database, and without ``apikeys`` in ``INSTALLED_APPS``: see ``no_database``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

APPS = {
    "nothing of ours installed": ["rest_framework"],
    "installed for its checks": ["rest_framework", "apikeys.resource_server"],
}
#: What has rows, or works on them.
WITH_MODELS = ("models", "lookup", "keys", "clients", "events", "usage", "verification", "owners", "oauth", "authority")


@pytest.fixture(scope="module", params=APPS.values(), ids=list(APPS))
def project(request):
    """What came of the project's requests."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    words = [sys.executable, "-m", "tests.no_database", *request.param]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outcome_of(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["status"], answer.get("code", "")


def test_signed_token_and_introspected_key_are_let_in_alike(project):
    answers = project["answers"]

    assert answers["signed"] == {"status": 200, "user": "user:7", "pk": "user:7", "kind": "signed_token"}
    assert answers["introspected"] == {"status": 200, "user": "gilfoyle", "pk": "user:9", "kind": "api_key"}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("nobody", (401, "key_missing")),
        ("forged", (401, "token_invalid")),
        ("function", (200, "")),
        ("function without its scope", (403, "insufficient_scope")),
        ("claim", (200, "")),
        ("claim missing", (403, "claim_missing")),
    ],
)
def test_permissions_ask_for_the_same_as_elsewhere(project, name, outcome):
    assert outcome_of(project["answers"][name]) == outcome


def test_rates_hold_for_each_caller(project):
    assert (project["answers"]["limited"], project["answers"]["other limited"]) == ([200, 200, 429], 200)


def test_each_verified_request_is_told_to_receivers(project):
    told = [(call["key_id"], call["route"], call["method"], call["outcome"]) for call in project["counted"]]

    assert told == [
        ("4Qm9ZtR1xVb7", "summary", "GET", "ok"),
        ("7Qm9ZtR1xVb7", "summary", "GET", "ok"),
        ("4Qm9ZtR1xVb7", "change", "POST", "ok"),
        ("other", "change", "POST", "scope_missing"),
        ("4Qm9ZtR1xVb7", "premium", "GET", "ok"),
        ("other", "premium", "GET", "403"),
        *[("4Qm9ZtR1xVb7", "limited", "GET", outcome) for outcome in ("ok", "ok", "limited")],
        ("other", "limited", "GET", "ok"),
    ]


def test_nothing_is_kept_that_nobody_would_take_away(project):
    assert project["kept"] == 0


def test_no_model_is_loaded_and_no_database_asked_for(project):
    loaded = {name.split(".")[1] for name in project["modules"] if "." in name}

    assert loaded.isdisjoint(WITH_MODELS)
    assert project["connections"] == []


def test_child_of_a_fork_asks_the_authority_by_itself(project):
    assert outcome_of(project["answers"]["child of a fork"]) == (401, "token_invalid")
    assert project["answers"]["fetches"] == [2, 2]


def test_checks_find_nothing_to_say(project):
    assert project["answers"]["checks"] == []


def test_class_of_nobody_that_needs_tables_of_people_is_warned_of_where_checks_are_installed(project):
    is_installed = "apikeys.resource_server.checks" in project["modules"]

    assert project["answers"]["checks by default"] == (["apikeys.W230"] if is_installed else [])
