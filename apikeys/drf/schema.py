"""
What drf-spectacular writes into an OpenAPI schema about keys; loaded where ``drf_spectacular`` is in INSTALLED_APPS.

How a key is sent and which scopes an operation needs, an authentication extension tells. Responses no extension can
add, and the only other way in would be a class for the project to name in its settings: so ``document_refusals`` is a
post-processing hook, and joins those that drf-spectacular runs by default. A project that sets ``POSTPROCESSING_HOOKS``
names it there as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, spectacular_settings
from rest_framework.views import APIView

from ..conf import settings
from ..registry import scope_registry
from . import reach
from .endpoints import demands_on, is_subclass, takes_our_credentials
from .refusals import ANSWERS
from .throttling import KeyRateThrottle

HOOK = "apikeys.drf.schema.document_refusals"
#: Names of security schemes.
BEARER, HEADER, AUTHORIZATION, OAUTH2 = "ApiKey", "ApiKeyHeader", "ApiKeyAuthorization", "OAuth2"
_OURS = frozenset({BEARER, HEADER, AUTHORIZATION, OAUTH2})

_ERROR = "ApiKeyError"
#: What stands in a requirement for the hook, which takes it out, where an operation asks what may give it no answer.
_MAY_GO_UNANSWERED = "x-apikeys-unanswered"
#: Names of responses by status: of this app, and of REST framework, whose views all give them.
_RESPONSES = {
    HTTPStatus.BAD_REQUEST: "ApiKeyBadRequest",
    HTTPStatus.UNAUTHORIZED: "ApiKeyUnauthorized",
    HTTPStatus.FORBIDDEN: "ApiKeyForbidden",
    HTTPStatus.NOT_ACCEPTABLE: "ApiKeyNotAcceptable",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "ApiKeyUnsupportedMediaType",
    HTTPStatus.TOO_MANY_REQUESTS: "ApiKeyLimited",
    HTTPStatus.SERVICE_UNAVAILABLE: "ApiKeyUnavailable",
}


class KeyExtension(OpenApiAuthenticationExtension):
    """``APIKeyAuthentication`` and its subclasses: one security scheme for each place that a key may stand in."""

    target_class = "apikeys.drf.authentication.APIKeyAuthentication"
    match_subclasses = True
    #: None that drf-spectacular would register: see ``define``.
    name = []
    #: Whether keys are checked elsewhere.
    asks_authority = False

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        found = requirements(auto_schema, ("key",), *([name] for name in key_schemes()))
        if self.asks_authority and _is_hooked():
            found = [{**entry, _MAY_GO_UNANSWERED: []} for entry in found]
        return found

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return define(auto_schema, key_schemes())


class IntrospectionExtension(KeyExtension):
    """``IntrospectionAuthentication`` of API servers: a token stands where a key does, behind the same word."""

    target_class = "apikeys.resource_server.introspecting.IntrospectionAuthentication"
    asks_authority = True


def define(auto_schema: Any, schemes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Add *schemes* by name to the schema at hand. Return what is left to add: nothing.

    drf-spectacular takes the name of a scheme for that of one authentication class, and warns where a second one has
    it. A subclass takes the same keys, and both at once are two schemes that others have as well.
    """
    for name, scheme in schemes.items():
        component = ResolvedComponent(
            name=name, type=ResolvedComponent.SECURITY_SCHEMA, object=KeyExtension, schema=scheme
        )
        auto_schema.registry.register_on_missing(component)
    return []


def key_schemes() -> dict[str, dict[str, Any]]:
    """Return the security schemes of keys by name, as the setting ``CREDENTIAL_SOURCES`` has them."""
    sources, key = settings.CREDENTIAL_SOURCES, f"{settings.PREFIX}_{settings.MODE}_…"
    schemes: dict[str, dict[str, Any]] = {}
    if "bearer" in sources:
        text = _("An API key, sent as: Authorization: Bearer %(key)s") % {"key": key}
        schemes[BEARER] = {"type": "http", "scheme": "bearer", "bearerFormat": key, "description": text}
    if "x-api-key" in sources:
        schemes[HEADER] = key_header()
    if not schemes:
        text = _("An API key, sent as: Authorization: Api-Key %(key)s") % {"key": key}
        schemes[AUTHORIZATION] = {"type": "apiKey", "in": "header", "name": "Authorization", "description": text}
    return schemes


def key_header() -> dict[str, Any]:
    """Return the security scheme of a key in a header of its own."""
    return {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _("An API key.")}


def requirements(auto_schema: Any, way_in: reach.WayIn, *together: list[str]) -> list[dict[str, list[str]]]:
    """
    Return the security requirements of the operation at hand for what a request of *way_in* holds.

    Each of *together* is a list of security schemes that bring it.
    """
    alternatives = _alternatives(auto_schema, way_in)
    authenticators = auto_schema.view.get_authenticators()
    if all(map(takes_our_credentials, authenticators)) and not any(
        _alternatives(auto_schema, authenticator.credentials) for authenticator in authenticators
    ):
        # An operation without any requirement would seem to be open to everybody.
        alternatives = reach.ANY
    # OpenAPI before 3.1 has scopes in OAuth's requirements only: the hook takes them out, once it has read them.
    keeps = _is_hooked() or _may_name_scopes()
    marked: dict[str, list[str]] = {_MAY_GO_UNANSWERED: []} if _is_hooked() and _spends(auto_schema.view) else {}
    return [
        {name: list(scopes) if keeps or name == OAUTH2 else [] for name in names} | marked
        for scopes in alternatives
        for names in together
    ]


def _alternatives(auto_schema: Any, way_in: reach.WayIn) -> reach.Alternatives:
    view, method = auto_schema.view, auto_schema.method
    action = getattr(view, "action", None)
    return reach.requirement_of(
        view.get_permissions(),
        demands_on(type(view), action or method.lower()),
        required=getattr(view, "required_scopes", ()),
        method=method,
        action=action,
        way_in=way_in,
    ).alternatives


def document_refusals(result: Any, **kwargs: Any) -> Any:
    """Return the schema *result* with what refused keys and tokens get, and with the permissions that they need."""
    given: set[HTTPStatus] = set()
    for operation in _operations(result):
        security = operation.get("security", [])
        may_go_unanswered = _take_mark(security)
        ways_in = list(dict.fromkeys(_scopes(entry) for entry in security if entry.keys() & _OURS))
        if not ways_in:
            continue
        if all(ways_in):
            # REST framework's AllowAny lets everybody in, and the decorators below it do not.
            security = [entry for entry in security if entry]
            operation["security"] = security
            before, sentence = operation.get("description"), _sentence(ways_in)
            operation["description"] = f"{before}\n\n{sentence}" if before else sentence
            operation["x-required-scopes"] = [list(scopes) for scopes in ways_in]
        if not _may_name_scopes():
            operation["security"] = _without_scopes(security)
        conditions = {
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "requestBody" in operation,
            HTTPStatus.SERVICE_UNAVAILABLE: may_go_unanswered,
        }
        statuses = {status for status in _RESPONSES if conditions.get(status, True)}
        _refer_to(statuses, operation["responses"])
        given |= statuses
    if given:
        components = result.setdefault("components", {})
        components.setdefault("schemas", {}).setdefault(_ERROR, _error())
        responses = components.setdefault("responses", {})
        for status, name in _RESPONSES.items():
            if status in given:
                responses.setdefault(name, _response(status))
    return result


def install() -> None:
    """Let drf-spectacular run the hook, unless the project says itself which hooks run."""
    hooks = SPECTACULAR_DEFAULTS["POSTPROCESSING_HOOKS"]
    if HOOK not in hooks:
        hooks.append(HOOK)


def _is_hooked() -> bool:
    return document_refusals in spectacular_settings.POSTPROCESSING_HOOKS


def _may_name_scopes() -> bool:
    return not spectacular_settings.OAS_VERSION.startswith("3.0")


def _spends(view: Any) -> bool:
    # What a get_throttles() of the project's own returns is known only on a request: then it may.
    if type(view).get_throttles is not APIView.get_throttles:
        return True
    return any(is_subclass(item, KeyRateThrottle) for item in view.throttle_classes)


def _operations(result: Any) -> Iterator[dict[str, Any]]:
    for methods in result["paths"].values():
        yield from (operation for operation in methods.values() if isinstance(operation, dict))


def _refer_to(statuses: set[HTTPStatus], responses: dict[str, Any]) -> None:
    for status, name in _RESPONSES.items():
        if status in statuses:
            responses.setdefault(str(status.value), {"$ref": f"#/components/responses/{name}"})


def _take_mark(security: list[dict[str, list[str]]]) -> bool:
    """Take the mark of an operation that may go unanswered out of *security*, and return whether there was one."""
    marks = [entry.pop(_MAY_GO_UNANSWERED, None) for entry in security]
    return any(mark is not None for mark in marks)


def _scopes(entry: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope for name, scopes in entry.items() if name in _OURS for scope in scopes))


def _without_scopes(security: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    kept: list[dict[str, list[str]]] = []
    for entry in security:
        bare = {name: [] if name in _OURS - {OAUTH2} else scopes for name, scopes in entry.items()}
        if bare not in kept:
            kept.append(bare)
    return kept


def _sentence(ways_in: list[tuple[str, ...]]) -> str:
    told = [_(" and ").join(map(_told, scopes)) for scopes in ways_in]
    if len(told) > 1:
        return _("Needs one of these permissions: %(permissions)s.") % {"permissions": "; ".join(told)}
    if len(ways_in[0]) > 1:
        return _("Needs the permissions %(permissions)s.") % {"permissions": told[0]}
    return _("Needs the permission %(permissions)s.") % {"permissions": told[0]}


def _told(name: str) -> str:
    scope = scope_registry().get(name)
    return f"`{name}`" if scope is None else f"“{scope.label}” (`{name}`)"


def _error() -> dict[str, Any]:
    names = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "description": _("Why a request was refused. Members that do not apply are left out."),
        "properties": {
            "detail": {"type": "string", "description": _("For people, in the language of the request.")},
            "code": {
                "type": "string",
                "description": _("For programs, and stable. Every refusal of a key or a token has one."),
            },
            "required_scopes": {**names, "description": _("What the operation needs.")},
            "granted_scopes": {**names, "description": _("What the key or token may do.")},
            "required_claim": {"type": "string", "description": _("The claim that does not open the operation.")},
            "expired_at": {"type": "string", "format": "date-time"},
            "violated_policies": {**names, "description": _("The limits that are used up.")},
            "request_id": {"type": "string"},
            "docs": {"type": "string", "format": "uri"},
        },
        "required": ["detail"],
    }


def _response(status: HTTPStatus) -> dict[str, Any]:
    reference: dict[str, Any] = {"$ref": f"#/components/schemas/{_ERROR}"}
    if status == HTTPStatus.BAD_REQUEST:
        # What REST framework says of a body or parameter that is no good.
        faults = {"type": "object", "additionalProperties": {}}
        reference = {"anyOf": [reference, faults, {"type": "array", "items": {}}]}
    codes = ", ".join(f"`{code}`" for code, (answered, _error, _text) in ANSWERS.items() if answered == status)
    titles = {
        HTTPStatus.BAD_REQUEST: _("The request can't be read."),
        HTTPStatus.UNAUTHORIZED: _("No credential, or one that does not work."),
        HTTPStatus.FORBIDDEN: _("The credential does not reach this."),
        HTTPStatus.NOT_ACCEPTABLE: _("There is no answer in a format that the caller accepts."),
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: _("The body is in a format that is not read here."),
        HTTPStatus.TOO_MANY_REQUESTS: _("A limit is used up."),
        HTTPStatus.SERVICE_UNAVAILABLE: _("It can't be told at the moment whether this may be done."),
    }
    said: dict[str, Any] = {"description": titles[status]}
    if codes:
        said = {"description": f"{titles[status]} `code`: {codes}.", "headers": _headers(status)}
    return {**said, "content": {"application/json": {"schema": reference}}}


def _headers(status: HTTPStatus) -> dict[str, Any]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = {"description": _("Seconds until the same request passes."), "schema": {"type": "integer"}}
        return {"Retry-After": wait, **_limit_headers()}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = {"description": _("Seconds until it is worth another try."), "schema": {"type": "integer"}}
        return {"Retry-After": wait}
    text = _("The challenge of RFC 6750, which names the error and the scope that is missing.")
    return {"WWW-Authenticate": {"description": text, "schema": {"type": "string"}}}


def _limit_headers() -> dict[str, Any]:
    kind, text = settings.RATE_LIMIT_HEADERS, {"schema": {"type": "string"}}
    headers: dict[str, Any] = {}
    if kind in {"draft", "both"}:
        headers |= {"RateLimit-Policy": text, "RateLimit": text}
    if kind in {"legacy", "both"}:
        number = {"schema": {"type": "integer"}}
        headers |= {f"X-RateLimit-{name}": number for name in ("Limit", "Remaining", "Reset")}
    return headers
