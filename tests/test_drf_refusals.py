from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from apikeys import clients, keys
from apikeys.core import keyformat
from apikeys.drf import HasOwner, HasScopes
from apikeys.models import TagSecret
from apikeys.testing import make_key

from .drf_views import ask, view

pytestmark = pytest.mark.django_db

NOW = "2026-11-20T12:00:00Z"
MISSING = 'Bearer realm="api"'
INVALID_TOKEN = 'Bearer realm="api", error="invalid_token"'
INVALID_REQUEST = 'Bearer realm="api", error="invalid_request"'

Todos = view(permission_classes=[HasScopes("todo:read")])


def tagged(*, key_id=None, mode="live"):
    """Return a key of which everything is right but that it was never issued; or a wrong secret for *key_id*."""
    new = keyformat.generate(prefix="ak", mode=mode)
    body = new.body if key_id is None else new.body.replace(new.key_id, key_id)
    secret = bytes(TagSecret.objects.latest("pk").secret)
    return keyformat.UntaggedKey(key_id=new.key_id, body=body).tagged(secret)


def with_another_letter_at(plaintext, index):
    other = "x" if plaintext[index] != "x" else "y"
    return plaintext[:index] + other + plaintext[index:][1:]


def revoked():
    key = make_key()
    keys.revoke(key.key, reason="leaked")
    return ask(Todos, key=key), key


def rotated():
    key = make_key()
    keys.rotate(key.key, overlap=timedelta(0))
    return ask(Todos, key=key), key


def two_headers():
    key = make_key()
    return ask(Todos, key=key, HTTP_X_API_KEY=key.plaintext), key


def repeated_header():
    key = make_key()
    return ask(Todos, HTTP_AUTHORIZATION=f"Bearer {key.plaintext}, Bearer {key.plaintext}"), key


def in_query():
    key = make_key()
    return ask(Todos, address=f"/?api_key={key.plaintext}"), key


def in_query_and_in_header():
    key = make_key()
    return ask(Todos, key=key, address=f"/?api_key={key.plaintext}"), key


def malformed():
    key = make_key()
    return ask(Todos, key=key.plaintext[:-1]), key


def not_issued():
    key = make_key()
    return ask(Todos, key=tagged()), key


def wrong_mode():
    key = make_key()
    return ask(Todos, key=tagged(mode="test")), key


def from_elsewhere():
    key = make_key(allowed_networks=["10.0.0.0/8"])
    return ask(Todos, key=key), key


def of_disabled_owner():
    key = make_key()
    User.objects.update(is_active=False)
    return ask(Todos, key=key), key


def of_deleted_owner():
    key = make_key()
    User.objects.all().delete()
    return ask(Todos, key=key), key


def of_disabled_client():
    key = make_key()
    clients.disable(key.key.client)
    return ask(Todos, key=key), key


def for_nobody():
    key = make_key(owner=None)
    return ask(view(permission_classes=[HasOwner & HasScopes("todo:read")]), key=key), key


def undeclared():
    key = make_key()
    return ask(view(), key=key), key


def in_the_clear():
    key = make_key()
    # A test client that does not say https.
    return APIClient().get("/apikeys/whoami/", HTTP_AUTHORIZATION=f"Bearer {key.plaintext}"), key


def without_scope():
    key = make_key(scopes=["usage:read", "todo:read"])
    return ask(view(permission_classes=[HasScopes("todo:read", "todo:write")]), key=key), key


#: How it comes about, status, body, ``WWW-Authenticate``.
ROWS = {
    "two headers": (two_headers, 400, {"code": "invalid_request", "detail": "Send one key, once."}, INVALID_REQUEST),
    "repeated header": (
        repeated_header,
        400,
        {"code": "invalid_request", "detail": "Send one key, once."},
        INVALID_REQUEST,
    ),
    "in the address": (
        in_query,
        400,
        {
            "code": "key_in_query",
            "detail": "Never put a key in the address. Rotate this one and use the Authorization header.",
        },
        None,
    ),
    "in the address and right": (
        in_query_and_in_header,
        400,
        {
            "code": "key_in_query",
            "detail": "Never put a key in the address. Rotate this one and use the Authorization header.",
        },
        None,
    ),
    "missing": (
        lambda: (ask(Todos), make_key()),
        401,
        {
            "code": "key_missing",
            "detail": "This endpoint needs an API key. Send it as: Authorization: Bearer <key>.",
        },
        MISSING,
    ),
    "malformed": (
        malformed,
        401,
        {"code": "key_malformed", "detail": "This is not a whole key. Copy it again."},
        INVALID_TOKEN,
    ),
    "not issued": (
        not_issued,
        401,
        {"code": "key_invalid", "detail": "This key is not known here. Check that it was copied whole."},
        INVALID_TOKEN,
    ),
    "revoked": (
        revoked,
        401,
        {"code": "key_revoked", "detail": "This key was revoked on 20 November 2026."},
        INVALID_TOKEN,
    ),
    "rotated": (
        rotated,
        401,
        {
            "code": "key_rotated",
            "detail": "This key was replaced and its overlap ended on 20 November 2026. Use the new key.",
        },
        INVALID_TOKEN,
    ),
    "wrong mode": (
        wrong_mode,
        401,
        {"code": "wrong_mode", "detail": "This is a test key; this server takes live keys."},
        INVALID_TOKEN,
    ),
    "without scope": (
        without_scope,
        403,
        {
            "code": "insufficient_scope",
            "detail": "This key lacks the permission “Change to-dos” (todo:write).",
            "required_scopes": ["todo:read", "todo:write"],
            "granted_scopes": ["todo:read", "usage:read"],
        },
        'Bearer realm="api", error="insufficient_scope", scope="todo:read todo:write"',
    ),
    "from elsewhere": (
        from_elsewhere,
        403,
        {"code": "ip_not_allowed", "detail": "This key may not be used from this address."},
        None,
    ),
    "owner disabled": (
        of_disabled_owner,
        403,
        {"code": "owner_disabled", "detail": "The person this key acts for is disabled."},
        None,
    ),
    "owner gone": (
        of_deleted_owner,
        403,
        {"code": "owner_disabled", "detail": "The person this key acts for is disabled."},
        None,
    ),
    "owner required": (
        for_nobody,
        403,
        {"code": "owner_required", "detail": "This endpoint needs a key that acts for a person."},
        None,
    ),
    "undeclared": (
        undeclared,
        403,
        {"code": "scopes_not_declared", "detail": "This endpoint is not open to keys."},
        None,
    ),
    "client disabled": (
        of_disabled_client,
        403,
        {"code": "client_disabled", "detail": "The app this key belongs to is switched off."},
        None,
    ),
    "in the clear": (
        in_the_clear,
        403,
        {"code": "https_required", "detail": "Keys are accepted only over HTTPS. Treat this key as leaked."},
        None,
    ),
}


@pytest.mark.parametrize(("arrange", "status", "body", "challenge"), ROWS.values(), ids=ROWS)
@time_machine.travel(NOW, tick=False)
def test_refusal_has_its_status_its_body_and_its_challenge(arrange, status, body, challenge):
    response, _ = arrange()

    assert response.status_code == status
    assert response.json() == body
    assert response.get("WWW-Authenticate") == challenge


@pytest.mark.parametrize(("arrange", "status", "body", "challenge"), ROWS.values(), ids=ROWS)
def test_refusal_never_holds_the_key(arrange, status, body, challenge):
    response, key = arrange()
    answer = response.serialize().decode()

    assert key.plaintext not in answer
    # Nor its secret, nor the beginning of it.
    assert key.plaintext.rpartition("_")[2][:8] not in answer


def test_expired_key_is_told_when_it_expired():
    with time_machine.travel("2026-11-19T12:00:00Z", tick=False):
        key = make_key(lifetime=timedelta(days=1))

    with time_machine.travel(NOW, tick=False):
        response = ask(Todos, key=key)

    assert response.status_code == 401
    assert response.json() == {
        "detail": "This key expired on 20 November 2026. Ask its owner to rotate it.",
        "code": "key_expired",
        "expired_at": "2026-11-20T12:00:00Z",
    }
    assert response["WWW-Authenticate"] == INVALID_TOKEN


@pytest.mark.parametrize(("second", "status"), [("11:59:59", 200), ("12:00:00", 401)], ids=["before", "at"])
def test_key_is_dead_at_the_instant_it_expires(second, status):
    with time_machine.travel("2026-11-19T12:00:00Z", tick=False):
        key = make_key(lifetime=timedelta(days=1))

    with time_machine.travel(f"2026-11-20T{second}Z", tick=False):
        assert ask(Todos, key=key).status_code == status


UNPROVEN = {
    "unknown id with a right tag": lambda key: tagged(),
    "wrong secret with a right tag": lambda key: tagged(key_id=key.key.key_id),
    "wrong tag": lambda key: with_another_letter_at(key.plaintext, -1),
    "changed secret": lambda key: with_another_letter_at(key.plaintext, -20),
    "changed id": lambda key: with_another_letter_at(key.plaintext, 10),
}


@pytest.mark.parametrize("forge", UNPROVEN.values(), ids=UNPROVEN)
def test_unproven_keys_are_refused_alike(forge):
    key = make_key()
    other = ask(Todos, key=tagged())

    response = ask(Todos, key=forge(key))

    assert response.json()["code"] == "key_invalid"
    assert response.serialize() == other.serialize()


def test_dead_key_with_a_forged_secret_is_told_no_state():
    key = make_key()
    keys.revoke(key.key, reason="leaked")

    response = ask(Todos, key=with_another_letter_at(key.plaintext, -20))

    assert response.json()["code"] == "key_invalid"


def test_key_that_costs_too_many_slow_hashes_must_wait(settings):
    settings.APIKEYS = {**settings.APIKEYS, "HASHES_PER_KEY_PER_MINUTE": 1}
    key = make_key()
    ask(Todos, key=tagged(key_id=key.key.key_id))

    response = ask(Todos, key=tagged(key_id=key.key.key_id))

    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response.json()["detail"] == f"Too many requests. Try again in {response['Retry-After']} seconds."
