"""
Requests to the API server of ``views``, in a project without a database; prints as JSON what came of them.

``python -m tests.no_database rest_framework …`` installs the apps that are named.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django
from django.conf import settings

settings.configure(
    DEBUG=True,
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=sys.argv[1:],
    MIDDLEWARE=["apikeys.middleware.UsageMiddleware"],
    ROOT_URLCONF="tests.no_database.views",
    LOGGING_CONFIG=None,
    # By default it is a class that needs the tables of people.
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    APIKEYS={
        "REQUIRE_HTTPS": True,
        "RATES": ["2/min"],
        "LIMITS_TIMEOUT": timedelta(seconds=10),
        "CLAIMS": {"subscription": {"type": "text", "label": "Subscription"}},
    },
)
django.setup()

from django.core.checks import run_checks  # noqa: E402  # once there are settings
from django.db import connections  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from apikeys import counting, signals  # noqa: E402
from tests.authority_stand_in import as_json  # noqa: E402
from tests.signed_requests import AUDIENCE, ISSUER, authority, make_token  # noqa: E402

INTROSPECTED = {
    "active": True,
    "scope": "todo:read",
    "client_id": "todo-app",
    "username": "gilfoyle",
    "sub": "user:9",
    "aud": AUDIENCE,
    "iss": ISSUER,
    "token_type": "Bearer",
    "kind": "api_key",
    "client_name": "To-do",
    "key_id": "7Qm9ZtR1xVb7",
    "family": "7Qm9ZtR1xVb7",
}
KEY = f"ak_live_7Qm9ZtR1xVb7_{'a' * 51}"


def send(path: str, credential: str | None = None, *, method: str = "get") -> dict[str, Any]:
    headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
    response = getattr(Client(), method)(path, headers=headers, secure=True)
    return {"status": response.status_code, **response.json()}


def answers() -> dict[str, Any]:
    with authority() as server:
        server.server.answers["introspect"] = as_json(INTROSPECTED)
        token = make_token(scopes=("todo:read", "todo:write"), claims={"subscription": "premium"})
        reader = make_token(family="other", key_id="other")
        found = {
            "signed": send("/summary", token),
            "introspected": send("/summary", KEY),
            "nobody": send("/summary"),
            "forged": send("/summary", f"{token[:-8]}AAAAAAAA"),
            "function": send("/change", token, method="post"),
            "function without its scope": send("/change", reader, method="post"),
            "claim": send("/premium", token),
            "claim missing": send("/premium", reader),
            "limited": [send("/limited", token)["status"] for _ in range(3)],
            "other limited": send("/limited", reader)["status"],
        }
        server.tell("key", "other")
        found["child of a fork"] = in_child(lambda: send("/summary", reader))
        found["checks"] = [message.id for message in run_checks(tags=["apikeys"])]
        with override_settings(REST_FRAMEWORK={}):
            found["checks by default"] = [message.id for message in run_checks(tags=["apikeys"])]
        found["fetches"] = [server.fetches("jwks.json"), server.fetches("revocations")]
        return found


def in_child(ask: Any) -> dict[str, Any]:
    """Return what *ask* returns in a child of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(ask()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told)


counted: list[dict[str, Any]] = []


def receive(sender: object, signal: object, seconds: float, **call: Any) -> None:
    counted.append(call)


signals.request_counted.connect(receive)
found = answers()
json.dump(
    {
        "answers": found,
        "counted": counted,
        "kept": len(counting.take()),
        "modules": sorted(name for name in sys.modules if name.startswith("apikeys")),
        "connections": [connection.alias for connection in connections.all(initialized_only=True)],
    },
    sys.stdout,
)
