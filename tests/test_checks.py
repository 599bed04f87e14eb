from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.db import connections

from apikeys.checks import RULES
from apikeys.conf import DEFAULTS

# None of these tests may use the database: pytest-django makes a query fail.


def found(identifier):
    """Return the messages of *identifier*, as ``manage.py check --tag apikeys`` finds them."""
    return [message for message in run_checks(tags=["apikeys"]) if message.id == f"apikeys.{identifier}"]


def errors_with(settings, **changed):
    settings.APIKEYS = {**settings.APIKEYS, **changed}
    return found("E001")


@pytest.fixture
def app_with_scopes(settings, tmp_path, monkeypatch):
    """Return a function: install an app whose ``api_scopes.py`` is the given text."""

    def install(text):
        package = tmp_path / "neighbour"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "api_scopes.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        for module in ("neighbour", "neighbour.api_scopes"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "neighbour"]

    return install


def test_right_settings_give_no_message(settings):
    settings.APIKEYS = {
        **settings.APIKEYS,
        "PREFIX": "pp",
        "MODE": "test",
        "REQUIRE_DECLARED_SCOPES": False,
        "REQUIRE_HTTPS": False,
        "TRUSTED_PROXIES": ["10.0.0.0/8", "::1", "unix"],
        "CREDENTIAL_SOURCES": ["bearer"],
        "SCHEMES": ["apikeys.core.schemes.KeyScheme"],
        "VERIFIERS": ["apikeys.core.verifiers.Argon2idHasher"],
        "ARGON2": {"time": 3},
        "DEFAULT_LIFETIME": timedelta(days=30),
        "MAX_LIFETIME": timedelta(days=30),
        "DEFAULT_OVERLAP": timedelta(0),
        "SECRET_SINK": "tests.test_checks.found",
        "REQUEST_ID": None,
        "ERROR_DOCS_URL": "https://docs.example.com/errors",
        "SCOPES": {"people:read": {"text": "See people.", "permissions": ["auth.view_user", "apikeys.issue_apikey"]}},
    }

    assert run_checks(tags=["apikeys"]) == []


def test_without_any_setting_only_the_authority_wants_its_name(settings):
    del settings.APIKEYS

    assert [message.id for message in run_checks(tags=["apikeys"])] == ["apikeys.E017"]


def test_a_project_without_time_zones_is_refused(settings):
    settings.USE_TZ = False

    assert [message.hint for message in found("E009")] == ["Set USE_TZ = True, which is Django's default."]


def test_every_setting_has_a_rule_that_its_default_keeps():
    assert {name: RULES[name](value) for name, value in DEFAULTS.items()} == dict.fromkeys(DEFAULTS)


def test_unknown_setting_is_an_error_that_suggests_the_right_one(settings):
    [error] = errors_with(settings, MAX_LIFETIMES=timedelta(days=1))

    assert error.msg == "There is no setting APIKEYS['MAX_LIFETIMES']."
    assert error.hint == "Did you mean 'MAX_LIFETIME'?"


def test_settings_that_are_no_dict_are_an_error(settings):
    settings.APIKEYS = ["PREFIX"]

    [error] = found("E001")

    assert error.msg == "APIKEYS is not a dict."


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param("PREFIX", 5, "must be text", id="prefix"),
        pytest.param("MODE", "Live", "must be 'live' or 'test'", id="mode"),
        pytest.param("SCOPES", ["todo:read"], "must be a dict", id="scopes"),
        pytest.param("REQUIRE_DECLARED_SCOPES", "yes", "must be True or False", id="declared-scopes"),
        pytest.param("REQUIRE_HTTPS", 1, "must be True or False", id="https"),
        pytest.param("TRUSTED_PROXIES", "10.0.0.1", "must be a list", id="proxies-text"),
        pytest.param(
            "TRUSTED_PROXIES", ["proxy.local"], "'proxy.local', which is neither a network", id="proxies-name"
        ),
        pytest.param("TRUSTED_PROXIES", [5], "5, which is neither a network", id="proxies-number"),
        pytest.param("CREDENTIAL_SOURCES", "bearer", "must be a list", id="sources-text"),
        pytest.param("CREDENTIAL_SOURCES", [], "at least one of bearer", id="sources-empty"),
        pytest.param("CREDENTIAL_SOURCES", ["api_key"], "Did you mean 'api-key'?", id="sources-unknown"),
        pytest.param("SCHEMES", "apikeys.core.schemes.KeyScheme", "must be a list", id="schemes-text"),
        pytest.param("SCHEMES", ["nowhere.KeyScheme"], "can't be imported", id="schemes-missing"),
        pytest.param("SCHEMES", ["datetime.timedelta"], "not a subclass of", id="schemes-other-class"),
        pytest.param("VERIFIERS", [], "at least one dotted path", id="verifiers-empty"),
        pytest.param("VERIFIERS", [None], "must hold dotted paths", id="verifiers-none"),
        pytest.param("VERIFIERS", ["apikeys.core.verifiers.Verifier"], "no subclass of Hasher", id="no-hasher"),
        pytest.param("ARGON2", 2, "must be a dict", id="argon2-number"),
        pytest.param("ARGON2", {"memory": 19456}, "Did you mean 'memory_kib'?", id="argon2-unknown"),
        pytest.param("ARGON2", {"time": 0}, "above 0", id="argon2-zero"),
        pytest.param("ARGON2", {"parallelism": 4, "memory_kib": 16}, "need at least 32", id="argon2-lanes"),
        pytest.param("REMEMBERED_PROOFS", 0, "above 0", id="proofs"),
        pytest.param("HASHES_PER_KEY_PER_MINUTE", "10", "above 0", id="hashes-text"),
        pytest.param("CONCURRENT_HASHES", True, "above 0", id="hashes-true"),
        pytest.param("CACHE", "defautl", "Did you mean 'default'?", id="cache-unknown"),
        pytest.param("CACHE", ["default"], "which is not in CACHES", id="cache-list"),
        pytest.param("DEFAULT_LIFETIME", 90, "must be a timedelta above 0", id="lifetime-number"),
        pytest.param("DEFAULT_LIFETIME", timedelta(0), "must be a timedelta above 0", id="lifetime-zero"),
        pytest.param("DEFAULT_LIFETIME", timedelta(days=400), "allows at most 365 days", id="lifetime-above-limit"),
        pytest.param("MAX_LIFETIME", timedelta(days=-1), "must be a timedelta above 0", id="longest-negative"),
        pytest.param("ALLOW_NO_EXPIRY", None, "must be True or False", id="no-expiry"),
        pytest.param("USAGE_HOURS_KEPT", timedelta(hours=23), "must be a timedelta of at least 24 h", id="hours-short"),
        pytest.param("DEFAULT_OVERLAP", timedelta(seconds=-1), "at least 0", id="overlap-negative"),
        pytest.param("DEFAULT_OVERLAP", timedelta(days=31), "allows at most 30 days", id="overlap-above-limit"),
        pytest.param("MAX_OVERLAP", "30 days", "must be a timedelta", id="longest-overlap"),
        pytest.param("MAX_KEYS_PER_OWNER", 2.5, "above 0", id="keys-per-owner"),
        pytest.param("SECRET_SINK", "nowhere.sink", "can't be imported", id="sink-missing"),
        pytest.param("SECRET_SINK", "apikeys.conf.DEFAULTS", "can't be called", id="sink-no-function"),
        pytest.param("REQUEST_ID", 5, "must hold dotted paths", id="request-id"),
        pytest.param("ERROR_DOCS_URL", None, "must be text", id="docs"),
        pytest.param("AUTHORITY_KEY", "ak_live_x\n", "must be an API key", id="key-with-line"),
        pytest.param("AUTHORITY_KEY", "schlüssel", "must be an API key", id="key-beyond-ascii"),
        pytest.param("AUTHORITY_KEY", None, "must be an API key", id="key-none"),
        pytest.param("AUTHORITY_URL", "https://a.example/prüfstelle", "must be an address", id="path-beyond-ascii"),
        pytest.param("ISSUER", "https://a.example/prüfstelle", "must be an address", id="issuer-beyond-ascii"),
        pytest.param("AUTHORITY_URL", "https://a.example:port/", "must be an address", id="no-port"),
        pytest.param("AUTHORITY_URL", f"https://{'a' * 70}.example/", "must be an address", id="no-host"),
        pytest.param("AUTHORITY_URL", "https://@a.example/", "must be an address", id="empty-user"),
        pytest.param("CLOCK_LEEWAY", timedelta(minutes=5, microseconds=1), "at most 5 minutes", id="leeway-long"),
        pytest.param("CLOCK_LEEWAY", timedelta(microseconds=-1), "at least 0", id="leeway-below-zero"),
    ],
)
def test_value_that_cannot_be_used_is_an_error(settings, name, value, problem):
    [error] = errors_with(settings, **{name: value})

    assert f"APIKEYS[{name!r}]" in error.msg
    assert problem in error.msg
    assert error.hint


def test_module_that_fails_in_its_own_way_is_an_error_and_no_traceback(settings, tmp_path, monkeypatch):
    (tmp_path / "exploding.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)

    [error] = errors_with(settings, REQUEST_ID="exploding.request_id")

    assert "ZeroDivisionError" in error.msg


def test_lower_limit_than_the_default_of_the_default_is_no_error(settings):
    assert errors_with(settings, MAX_LIFETIME=timedelta(days=30)) == []


@pytest.mark.parametrize("prefix", ["", "a_b", "ak-", "a" * 17, "äk"], ids=["empty", "underscore", "dash", "long", "ä"])
def test_prefix_that_no_key_can_have_is_an_error(settings, prefix):
    settings.APIKEYS = {**settings.APIKEYS, "PREFIX": prefix}

    [error] = found("E038")

    assert repr(prefix) in error.msg
    assert "letters and digits" in error.hint


@pytest.mark.parametrize(
    ("name", "declaration", "problem"),
    [
        pytest.param("todo read", "See to-dos.", "'todo read' is not a scope name", id="space"),
        pytest.param('todo:"', "See to-dos.", "is not a scope name", id="quote"),
        pytest.param("todo:lesen–", "See to-dos.", "is not a scope name", id="beyond-ascii"),
        pytest.param(5, "See to-dos.", "5 is not a scope name", id="number"),
        pytest.param("todo:read", ["See to-dos."], "needs a sentence or a dict", id="list"),
        pytest.param("todo:read", {"lable": "Read"}, "unknown members: lable", id="misspelt-member"),
        pytest.param("todo:read", {5: "x", "y": "z"}, "unknown members: 5, y", id="mixed-members"),
        pytest.param("todo:read", {"permissions": "auth.view_user"}, "must be a list", id="permissions-text"),
        pytest.param("todo:read", {"permissions": 5}, "must be a list", id="permissions-number"),
    ],
)
def test_scope_that_cannot_be_read_is_an_error(settings, name, declaration, problem):
    settings.APIKEYS = {"SCOPES": {name: declaration}}

    [error] = found("E004")

    assert error.msg.startswith("APIKEYS['SCOPES']: ")
    assert problem in error.msg
    assert error.hint


@pytest.mark.parametrize(
    ("permission", "suggestion"),
    [
        pytest.param("auth.veiw_user", "Did you mean 'auth.view_user'?", id="misspelt"),
        pytest.param("apikeys.delete_apikey", "", id="not-a-default-of-the-model"),
        pytest.param("view_user", "Write 'app_label.codename'", id="without-app"),
    ],
)
def test_scope_that_names_no_django_permission_is_an_error(settings, permission, suggestion):
    settings.APIKEYS = {"SCOPES": {"people:read": {"text": "See people.", "permissions": [permission]}}}

    [error] = found("E004")

    assert repr(permission) in error.msg
    assert suggestion in error.hint


def test_scope_declared_by_two_is_an_error_that_names_both(app_with_scopes):
    app_with_scopes("SCOPES = {'todo:read': 'See to-dos.'}")

    [error] = found("E004")

    assert error.msg == "neighbour.api_scopes: scope 'todo:read' is declared in APIKEYS['SCOPES'] already."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "neighbour.api_scopes needs SCOPES", id="nothing"),
        pytest.param("SCOPES = ['todo:read']", "neighbour.api_scopes needs SCOPES", id="list"),
        pytest.param("1 / 0", "ZeroDivisionError", id="fails"),
        pytest.param("SCOPES = {'a b': 'x'}", "neighbour.api_scopes: 'a b' is not a scope name", id="bad-name"),
    ],
)
def test_scope_module_that_cannot_be_read_is_an_error_and_no_traceback(app_with_scopes, text, problem):
    app_with_scopes(text)

    [error] = found("E004")

    assert problem in error.msg


def test_user_model_with_a_text_key_is_a_warning(settings):
    # Any model with such a key will do; a session's is one.
    settings.AUTH_USER_MODEL = "sessions.Session"

    [warning] = found("W104")

    assert "sessions.Session is text" in warning.msg
    assert warning.hint


def test_missing_user_model_is_left_to_django(settings):
    settings.AUTH_USER_MODEL = "sessions.Nobody"

    assert found("W104") == []


def found_at_deploy(identifier):
    messages = run_checks(tags=["apikeys"], include_deployment_checks=True)
    return [message for message in messages if message.id == f"apikeys.{identifier}"]


REDIS = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://cache.internal:6379"}


@pytest.mark.parametrize(
    "cache",
    [
        pytest.param(REDIS, id="no options"),
        pytest.param({**REDIS, "OPTIONS": {"db": 1}}, id="other options"),
        pytest.param({**REDIS, "LOCATION": ["redis://one?socket_timeout=1", "redis://two"]}, id="one of two addresses"),
        pytest.param({**REDIS, "LOCATION": "redis://one?socket_timeout=1;redis://two"}, id="joined addresses"),
    ],
)
def test_redis_without_a_timeout_is_a_warning_at_deployment(settings, cache):
    settings.CACHES = {"default": cache}

    [warning] = found_at_deploy("W207")

    assert "CACHES['default'] names no socket_timeout" in warning.msg
    assert '"socket_timeout": 1' in warning.hint
    assert found("W207") == []


@pytest.mark.parametrize(
    "cache",
    [
        pytest.param({**REDIS, "OPTIONS": {"socket_timeout": 1}}, id="in the options"),
        pytest.param({**REDIS, "LOCATION": "redis://one?socket_timeout=1"}, id="in the address"),
        pytest.param({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, id="local memory"),
        pytest.param({"BACKEND": "nowhere.Cache"}, id="missing backend"),
    ],
)
def test_a_cache_that_requests_do_not_wait_for_without_end_is_no_warning(settings, cache):
    settings.CACHES = {"default": cache}

    assert found_at_deploy("W207") == []


@pytest.mark.parametrize("name", [None, "proofs", []], ids=["none", "unknown", "no name"])
def test_a_cache_that_is_not_used_is_no_warning(settings, name):
    settings.CACHES = {"default": REDIS}
    settings.APIKEYS = {**settings.APIKEYS, "CACHE": name}

    assert found_at_deploy("W207") == []


@pytest.mark.parametrize(
    ("is_atomic", "middleware", "warnings"),
    [
        pytest.param(True, [], 1, id="transactions without the middleware"),
        pytest.param(True, ["apikeys.middleware.ProofMiddleware"], 0, id="transactions and the middleware"),
        pytest.param(False, [], 0, id="no transactions"),
    ],
)
def test_transactions_around_views_need_the_middleware(settings, monkeypatch, is_atomic, middleware, warnings):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", is_atomic)
    settings.MIDDLEWARE = middleware

    messages = found_at_deploy("W208")

    assert len(messages) == warnings
    assert all("'apikeys.middleware.ProofMiddleware'" in message.hint for message in messages)
    assert found("W208") == []


LATE = {
    "bound": ({"MAX_STALENESS": timedelta(seconds=5)}, "W203", "within 5 seconds"),
    "bound under a second": ({"MAX_STALENESS": timedelta(milliseconds=500)}, "W203", "within 0.5 seconds"),
    "replica": ({"READ_REPLICA": True}, "W209", "caught up"),
}


@pytest.mark.parametrize(("given", "code", "words"), LATE.values(), ids=LATE)
def test_what_makes_a_revocation_late_is_named_at_deployment(settings, given, code, words):
    settings.APIKEYS = given

    [warning] = found_at_deploy(code)

    assert words in warning.msg
    assert found(code) == []


@pytest.mark.parametrize("code", ["W203", "W209"])
def test_by_default_a_revocation_is_not_late(settings, code):
    settings.APIKEYS = {}

    assert found_at_deploy(code) == []
