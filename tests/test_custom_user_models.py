from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.documents import ROOT

#: Whom a person's key makes ``request.user``.
LAURIE = {"name": "laurie@example.com", "is_active": True, "is_a_person": True, "last_login": None}
NO_SERVICE_KEYS = "ServiceKeysUnavailableError: Keys without a person need a user model whose primary key is not text."
TEXT_KEY: dict[str, Any] = {
    "check": True,
    "request": {"pk": "client:1", **LAURIE},
    "disabled": "403 owner_disabled",
    "gone": "403 owner_disabled",
    "service_key": NO_SERVICE_KEYS,
    "suspended_keys": {
        "in the admin": ["client is off", "owner left"],
        "in the shell": ["client is off", "owner left"],
    },
    "commands": {"expired": 1, "rotated": 1},
    "issued_for_oneself": [True],
    "issued_for_another": [True],
    "suggestions": True,
    "tokens": {"named": True, "disabled": True, "gone": 1},
}
#: Nobody can be disabled, and nobody's rights be compared with another's.
LISTLESS: dict[str, Any] = {
    **TEXT_KEY,
    "check": False,
    "request": {"pk": "1", **LAURIE},
    "disabled": {"pk": "1", **LAURIE, "name": "jack@example.com"},
    "service_key": "admitted",
    "suspended_keys": {"in the admin": ["client is off"], "in the shell": ["client is off"]},
    "commands": {"expired": 1, "rotated": 2},
    "tokens": {"named": True, "disabled": False, "gone": 1},
    "issued_for_another": [
        "recipient@example.com holds rights that you lack, so you may not issue a key that acts for this person."
    ],
}


@pytest.mark.parametrize(
    ("app", "outcomes"),
    [
        pytest.param("listless", LISTLESS, id="without is_active, superusers and permissions"),
        pytest.param("text_key", TEXT_KEY, id="with a primary key of text"),
        pytest.param("inherited", TEXT_KEY, id="in two tables, with a primary key of text"),
    ],
)
def test_user_model_of_a_project_is_served_rightly_or_refused(app, outcomes):
    tried = subprocess.run(  # the tests' own module
        [sys.executable, "-m", "tests.custom_user"],
        env={**os.environ, "APIKEYS_TEST_USER_APP": app},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (tried.returncode, tried.stderr) == (0, "")
    assert json.loads(tried.stdout) == outcomes
