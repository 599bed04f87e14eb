"""What the API answers is what its schema says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from apikeys import keys
from apikeys.conf import settings as app_settings
from apikeys.drf import HasOwner, HasScopes, KeyRateThrottle
from apikeys.testing import ApiKeyClient, make_key

from .drf_views import ask, view

ROOT = Path(__file__).parent.parent
Reads = view(permission_classes=[HasScopes("todo:read"), HasOwner])
Limited = view(permission_classes=[HasScopes("todo:read")], throttle_classes=[KeyRateThrottle])


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator(urlconf="tests.openapi_urls").get_schema(public=True)


def resolved(schema, node):
    """Return *node*, with what it refers to in its place, as JSON Schema without OpenAPI's own words."""
    if isinstance(node, list):
        return [resolved(schema, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = schema
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return resolved(schema, target)
    found = {name: resolved(schema, value) for name, value in node.items()}
    if found.pop("nullable", False):
        found["type"] = [found["type"], "null"]
    return found


def described(schema, status, *, address="/api/any-key/"):
    """Return what *schema* says of the answers of *address* to GET with *status*."""
    return resolved(schema, schema["paths"][address]["get"]["responses"][str(status)])


def check(schema, response, *, address="/api/any-key/"):
    """
    Pass where *response* is as *schema* says.

    Raises:
        ValidationError: If it is not.
    """
    told = described(schema, response.status_code, address=address)
    Draft4Validator(told["content"]["application/json"]["schema"]).validate(response.json())


def send_nothing():
    return ask(Reads)


def send_half_a_key():
    return ask(Reads, key="ak_live_half")


def send_two_keys():
    key = make_key()
    return ask(Reads, key=key, HTTP_X_API_KEY=key.plaintext)


def send_in_query():
    return ask(Reads, address=f"/?key={make_key().plaintext}")


def send_revoked():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")
    return ask(Reads, key=issued)


def send_too_little():
    return ask(Reads, key=make_key(scopes="todo:write"))


def send_for_nobody():
    return ask(Reads, key=make_key(owner=None))


def send_too_often():
    key = make_key(rates=["1/hour"])
    ask(Limited, key=key)
    return ask(Limited, key=key)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("send", "status"),
    [
        pytest.param(send_nothing, 401, id="missing"),
        pytest.param(send_half_a_key, 401, id="malformed"),
        pytest.param(send_revoked, 401, id="revoked"),
        pytest.param(send_two_keys, 400, id="two"),
        pytest.param(send_in_query, 400, id="query"),
        pytest.param(send_too_little, 403, id="scope"),
        pytest.param(send_for_nobody, 403, id="owner"),
        pytest.param(send_too_often, 429, id="limit"),
    ],
)
def test_refusal_is_as_the_schema_says(schema, send, status):
    response = send()

    assert response.status_code == status
    check(schema, response)
    told = described(schema, status)
    assert f"`{response.json()['code']}`" in told["description"]
    assert {name for name in ("WWW-Authenticate", "Retry-After") if name in response} <= set(told.get("headers", ()))


def without_ledger(execute, sql, params, many, context):
    if "quotaledger" in sql:
        raise OperationalError("the ledger is gone")
    return execute(sql, params, many, context)


@pytest.mark.django_db
def test_refusal_for_want_of_an_answer_is_as_the_schema_says(schema):
    key = make_key(quotas=["1000/month"])

    with connection.execute_wrapper(without_ledger):
        response = ask(Limited, key=key)

    assert response.status_code == 503
    check(schema, response, address="/api/numbers/")
    told = described(schema, 503, address="/api/numbers/")
    assert f"`{response.json()['code']}`" in told["description"]
    assert "Retry-After" in response
    assert set(told["headers"]) == {"Retry-After"}


@pytest.mark.django_db
def test_schema_has_every_member_of_a_refusal(schema, settings):
    settings.APIKEYS = {**app_settings.given(), "ERROR_DOCS_URL": "https://docs.example/errors"}

    members = set(ask(Reads, key="ak_live_half").json())

    assert members == {"detail", "code", "docs"}
    assert members <= set(schema["components"]["schemas"]["ApiKeyError"]["properties"])


def test_error_without_its_sentence_is_none(schema):
    with pytest.raises(ValidationError):
        Draft4Validator(described(schema, 401)["content"]["application/json"]["schema"]).validate({"code": "x"})


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/apikeys/whoami/", "/apikeys/usage/", "/apikeys/scopes.json"])
@pytest.mark.parametrize("lifetime", ["limited", "endless"])
def test_endpoints_of_the_app_answer_as_the_schema_says(schema, settings, address, lifetime):
    settings.ROOT_URLCONF = "tests.openapi_urls"
    settings.APIKEYS = {**app_settings.given(), "ALLOW_NO_EXPIRY": True}
    ending = {"lifetime": None} if lifetime == "endless" else {}
    key = make_key(scopes="apikeys:usage", quotas=["1000/month"], **ending)

    response = ApiKeyClient(key).get(address)

    assert response.status_code == 200
    check(schema, response, address=address)


@pytest.mark.django_db
def test_usage_of_a_key_that_is_not_theirs_is_as_the_schema_says(schema, settings):
    settings.ROOT_URLCONF = "tests.openapi_urls"

    response = ApiKeyClient(make_key(scopes="apikeys:usage")).get("/apikeys/usage/?key=AAAAAAAAAAAA")

    assert response.status_code == 404
    check(schema, response, address="/apikeys/usage/")


def run(code):
    """Run *code* in a process of its own, under the suite's settings with apps left out; return what it prints."""
    setting_up = (
        "import sys, django\n"
        "from django.conf import settings\n"
        "from tests import settings as suite\n"
        "given = {name: value for name, value in vars(suite).items() if name.isupper()}\n"
        "def start(*left_out):\n"
        "    if 'drf_spectacular' in left_out:\n"
        "        given['REST_FRAMEWORK'] = {}\n"
        "    apps = [app for app in suite.INSTALLED_APPS if app not in left_out]\n"
        "    settings.configure(**{**given, 'INSTALLED_APPS': apps})\n"
        "    django.setup()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", setting_up + code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_app_works_where_drf_spectacular_is_not_installed():
    told = run(
        "sys.modules['drf_spectacular'] = None\n"
        "start('drf_spectacular', 'drf_spectacular_sidecar')\n"
        "import apikeys.urls\n"
        "from apikeys.drf import reach\n"
        "print('GET /apikeys/whoami/' in map(str, reach.operations()))\n"
    )

    assert told == "True"


def test_schema_without_oauth_knows_keys_alone():
    told = run(
        "start('apikeys.oauth', 'oauth2_provider', 'example_project.todo')\n"
        "from drf_spectacular.generators import SchemaGenerator\n"
        "from django.urls import include, path\n"
        "patterns = [path('apikeys/', include('apikeys.urls'))]\n"
        "schema = SchemaGenerator(patterns=patterns).get_schema(public=True)\n"
        "print(*schema['components']['securitySchemes'], 'apikeys.oauth.schema' in sys.modules)\n"
    )

    assert told == "ApiKey ApiKeyHeader cookieAuth False"


def test_how_to_leads_to_a_schema_and_swagger_ui():
    told = run(
        "from pathlib import Path\n"
        "from tests.documents import blocks\n"
        "first, schema, sidecar, ui = blocks(Path('docs/how-to/publish-a-schema.md'), 'python')\n"
        "suite.INSTALLED_APPS = [app for app in suite.INSTALLED_APPS if 'spectacular' not in app]\n"
        "given = {name: value for name, value in given.items() if name != 'SPECTACULAR_SETTINGS'}\n"
        "project = {'INSTALLED_APPS': suite.INSTALLED_APPS, 'REST_FRAMEWORK': {}}\n"
        "exec(first + sidecar, project)\n"
        "del project['__builtins__']\n"
        "given.update(project, ALLOWED_HOSTS=['*'], ROOT_URLCONF='tests.urls')\n"
        "start('example_project.todo')\n"
        "from tests import urls\n"
        "exec(schema + ui, vars(urls))\n"
        "from django.test import Client\n"
        "page = Client().get('/docs/').content.decode()\n"
        "print(Client().get('/schema/').status_code, 'static/drf_spectacular_sidecar' in page, 'https:' in page)\n"
    )

    assert told == "200 True False"
