from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.urls import path
from django.utils import translation
from django.utils.translation import gettext_lazy
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle
from rest_framework.views import APIView

from apikeys.conf import settings as app_settings
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes, IsSessionUser, KeyRateThrottle, requires_scopes
from apikeys.oauth import OAuthTokenAuthentication
from apikeys.resource_server import IntrospectionAuthentication

from .drf_views import Plain, derived

SNAPSHOT = Path(__file__).with_name("openapi.yaml")
KEY: dict[str, list[str]] = {"ApiKey": []}
HEADER: dict[str, list[str]] = {"ApiKeyHeader": []}


class Described(Plain):
    """Answers what is described."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("todo:read")]
    http_method_names = ["get"]

    @extend_schema(responses={204: None})
    def get(self, request):
        return super().get(request)


class Ours(APIKeyAuthentication):
    """Another class that takes keys."""


def view(**attributes):
    return derived(Described, **{"__module__": __name__, **attributes})


def schema_of(*views, public=True, **changes):
    """Return the schema of a site of *views*, valid and without a warning, under *changes* of its settings."""
    patterns = [path(f"{number}/", item.as_view()) for number, item in enumerate(views)]
    GENERATOR_STATS.reset()
    with patched_settings(changes):
        schema = SchemaGenerator(patterns=patterns).get_schema(request=None, public=public)
        validate_schema(schema)
    assert not GENERATOR_STATS
    return schema


def operation_of(view_class, **changes):
    return schema_of(view_class, **changes)["paths"]["/0/"]["get"]


def test_schema_is_that_of_the_snapshot():
    # It was made, and is made anew, by this command with --file tests/openapi.yaml, under tests.settings.
    out = io.StringIO()

    call_command("spectacular", "--validate", "--fail-on-warn", urlconf="tests.openapi_urls", stdout=out)

    assert yaml.safe_load(out.getvalue()) == yaml.safe_load(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("attributes", "security"),
    [
        pytest.param({}, [KEY, HEADER], id="key"),
        pytest.param({"authentication_classes": [OAuthTokenAuthentication]}, [{"OAuth2": ["todo:read"]}], id="token"),
        pytest.param(
            {
                "authentication_classes": [OAuthTokenAuthentication],
                "permission_classes": [HasScopes("todo:read", "usage:read", match="any")],
            },
            [{"OAuth2": ["todo:read"]}, {"OAuth2": ["usage:read"]}],
            id="any-of",
        ),
        pytest.param(
            {
                "authentication_classes": [OAuthTokenAuthentication],
                "permission_classes": [HasScopes("apikeys:usage") | HasScopes("todo:read")],
            },
            [{"OAuth2": ["todo:read"]}],
            id="no-token-has-a-reserved-scope",
        ),
        pytest.param(
            {
                "authentication_classes": [APIKeyAuthentication, SessionAuthentication],
                "permission_classes": [HasScopes("todo:read") | IsSessionUser],
            },
            [KEY, HEADER, {"cookieAuth": []}],
            id="people-as-well",
        ),
        pytest.param(
            {
                "authentication_classes": [APIKeyAuthentication, SessionAuthentication],
                "permission_classes": [IsSessionUser],
            },
            [{"cookieAuth": []}],
            id="people-only",
        ),
        pytest.param({"permission_classes": [HasAPIKey]}, [KEY, HEADER], id="any-key"),
        pytest.param({"permission_classes": [HasScopes]}, [KEY, HEADER], id="closed-is-not-open"),
    ],
)
def test_operation_says_what_it_takes(attributes, security):
    assert operation_of(view(**attributes))["security"] == security


def test_decorated_view_is_not_open_to_everybody():
    decorated = requires_scopes("todo:read")(view(permission_classes=[]))
    anybody = requires_scopes("todo:read")(view(permission_classes=Plain.permission_classes))

    assert operation_of(decorated)["security"] == operation_of(anybody)["security"] == [KEY, HEADER]


def test_permission_is_told_in_words_and_for_programs():
    both = view(permission_classes=[HasScopes("todo:read", "todo:write") | HasScopes("usage:read")])

    operation = operation_of(both)

    assert operation["description"].endswith(
        "Needs one of these permissions: “View to-dos” (`todo:read`) and “Change to-dos” (`todo:write`); "
        "“Read usage numbers” (`usage:read`)."
    )
    assert operation["x-required-scopes"] == [["todo:read", "todo:write"], ["usage:read"]]


class Undescribed(APIView):
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("todo:read")]

    @extend_schema(responses={204: None})
    def get(self, request):
        return Response(status=204)


def test_operation_without_a_description_gets_one():
    assert operation_of(Undescribed)["description"] == "Needs the permission “View to-dos” (`todo:read`)."


def test_undeclared_scope_is_told_by_its_name():
    operation = operation_of(view(permission_classes=[HasScopes("todo:none")]))

    assert operation["description"].endswith("Needs the permission `todo:none`.")


def test_texts_follow_the_language(settings):
    settings.APIKEYS = {**app_settings.given(), "SCOPES": {"todo:read": gettext_lazy("Revoked")}}

    with translation.override("de"):
        description = operation_of(Described)["description"]

    assert "“Widerrufen” (`todo:read`)" in description


@pytest.mark.parametrize(
    ("sources", "schemes"),
    [
        pytest.param(["bearer", "api-key", "x-api-key"], {"ApiKey": "http", "ApiKeyHeader": "apiKey"}, id="all"),
        pytest.param(["bearer"], {"ApiKey": "http"}, id="bearer"),
        pytest.param(["x-api-key"], {"ApiKeyHeader": "apiKey"}, id="header"),
        pytest.param(["api-key"], {"ApiKeyAuthorization": "apiKey"}, id="own-scheme"),
    ],
)
def test_security_schemes_are_the_sources_that_are_switched_on(settings, sources, schemes):
    settings.APIKEYS = {**app_settings.given(), "CREDENTIAL_SOURCES": sources}

    schema = schema_of(Described)

    told = schema["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in told.items()} == schemes
    assert schema["paths"]["/0/"]["get"]["security"] == [{name: []} for name in schemes]


def test_two_classes_that_take_keys_share_their_schemes():
    schema = schema_of(Described, view(authentication_classes=[Ours]))

    assert list(schema["components"]["securitySchemes"]) == ["ApiKey", "ApiKeyHeader"]


def test_tokens_that_come_from_elsewhere_have_no_flows(settings):
    settings.ROOT_URLCONF = (path("x/", Described.as_view()),)

    schema = schema_of(view(authentication_classes=[OAuthTokenAuthentication]))

    assert schema["components"]["securitySchemes"]["OAuth2"]["flows"] == {}


def test_key_names_its_scopes_where_openapi_lets_it():
    assert operation_of(Described, OAS_VERSION="3.1.0")["security"] == [
        {"ApiKey": ["todo:read"]},
        {"ApiKeyHeader": ["todo:read"]},
    ]


def test_project_that_chooses_the_hooks_gets_no_other():
    operation = operation_of(view(throttle_classes=[KeyRateThrottle]), POSTPROCESSING_HOOKS=[])

    assert operation["security"] == [KEY, HEADER]
    assert list(operation["responses"]) == ["204"]


def test_refusals_are_documented_beside_the_answers():
    operation = operation_of(Described)

    assert list(operation["responses"]) == ["204", "400", "401", "403", "406", "429"]


class OurThrottle(KeyRateThrottle):
    """Another class that spends limits."""


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"throttle_classes": [KeyRateThrottle]}, id="limits"),
        pytest.param({"throttle_classes": (AnonRateThrottle, OurThrottle)}, id="derived"),
        pytest.param({"get_throttles": lambda self: [KeyRateThrottle()]}, id="decided-on-request"),
        pytest.param({"authentication_classes": [IntrospectionAuthentication]}, id="authority"),
    ],
)
def test_refusal_for_want_of_an_answer_is_documented_where_it_can_be(attributes):
    for version in ("3.0.3", "3.1.0"):
        schema = schema_of(view(**attributes), OAS_VERSION=version)

        told = schema["components"]["responses"]["ApiKeyUnavailable"]
        assert list(schema["paths"]["/0/"]["get"]["responses"])[-1] == "503"
        assert list(told["headers"]) == ["Retry-After"]
        assert "`authority_unavailable`, `limits_unavailable`" in told["description"]


@pytest.mark.parametrize("throttles", [[], [AnonRateThrottle]], ids=["none", "of REST framework"])
def test_operation_that_asks_nobody_documents_no_want_of_an_answer(throttles):
    schema = schema_of(view(throttle_classes=throttles))

    assert "503" not in schema["paths"]["/0/"]["get"]["responses"]
    assert "ApiKeyUnavailable" not in schema["components"]["responses"]


def test_view_that_takes_no_key_gets_nothing_added():
    schema = schema_of(view(authentication_classes=[SessionAuthentication], permission_classes=[IsSessionUser]))

    assert list(schema["paths"]["/0/"]["get"]["responses"]) == ["204"]
    assert "responses" not in schema["components"]


def test_refusal_that_the_project_documents_is_left_alone():
    described = extend_schema(responses={204: None, 403: {"type": "string"}})(lambda self, request: None)

    answer = operation_of(view(get=described))["responses"]["403"]

    assert answer["content"]["application/json"]["schema"] == {"type": "string"}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        pytest.param("draft", ["Retry-After", "RateLimit-Policy", "RateLimit"], id="draft"),
        pytest.param(
            "legacy",
            ["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"],
            id="legacy",
        ),
        pytest.param("off", ["Retry-After"], id="off"),
    ],
)
def test_headers_of_a_used_up_limit_are_those_of_the_setting(settings, fields, names):
    settings.APIKEYS = {**app_settings.given(), "RATE_LIMIT_HEADERS": fields}

    assert list(schema_of(Described)["components"]["responses"]["ApiKeyLimited"]["headers"]) == names
