"""What the endpoints that clients call have in common: what they read, how they refuse, what is written down."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from oauth2_provider.views.mixins import OAuthLibMixin

from ... import request_parts
from ...conf import settings
from ...core import basic_auth
from ...core.errors import TooManyHashesError
from .. import refused
from ..parameters import FormCore
from ..server import OAuthServer

_FORM = "application/x-www-form-urlencoded"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: An answer, and that a method is unknown.
_NOT_REFUSED = frozenset({HTTPStatus.OK, HTTPStatus.METHOD_NOT_ALLOWED})
#: May stand more than once (RFC 8707 section 2).
_REPEATABLE = frozenset({"resource"})


class UnreadableError(ValueError):
    """A request that no grant reads: repeated, malformed or in two ways at once. The text is for the developer."""


class OwnServerMixin(OAuthLibMixin):  # type: ignore[misc]  # the toolkit ships no types
    """A view of the toolkit whose server is ours, made for each request: the toolkit keeps the first one's settings."""

    server_class: Any = OAuthServer

    def get_oauthlib_core(self) -> Any:
        # Kept on the class by the toolkit, where views of its own in the same project would lend us theirs.
        return self.get_oauthlib_backend_class()(self.get_server())


@method_decorator([csrf_exempt, login_not_required], name="dispatch")
class ProtocolView(OwnServerMixin, View):
    """
    An endpoint for clients (RFC 6749 section 3.2): POST over HTTPS, a form without repetition, one authentication.

    Each refusal is JSON as in RFC 6749 section 5.2, kept by nobody, and leaves an event at most once an hour.
    """

    http_method_names = ("post",)
    oauthlib_backend_class = FormCore
    #: Of this request; None where it was refused before anybody asked it.
    validator: Any = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        client_id = None
        response: HttpResponseBase
        try:
            if request.method == "POST":
                client_id = _require_readable(request)
            response = super().dispatch(request, *args, **kwargs)
        except (UnreadableError, MultiPartParserError, BadRequest) as error:
            response = refusal("invalid_request", description=str(error))
        except (RequestDataTooBig, TooManyFieldsSent):
            response = refusal("invalid_request", description="The request is too large.")
        except TooManyHashesError as error:
            response = busy(retry_after_seconds=error.retry_after_seconds)
        refused_with = _finish(response)
        # One that ended what a spent secret gave is on record as that.
        if refused_with is not None and not getattr(self.validator, "has_recorded_replay", False):
            refused.record(refused_with, client_id=client_id, request=request)
        return response

    def get_oauthlib_core(self) -> Any:
        request: Any = self.request
        # All parameters are hidden in error reports; the toolkit's own decorator, which came before, names some.
        request.sensitive_post_parameters = "__ALL__"
        core = super().get_oauthlib_core()
        self.validator = core.server.request_validator
        return core


def basic_credentials(request: HttpRequest) -> tuple[str, str] | None:
    """
    Return client id and secret of HTTP Basic (RFC 6749 section 2.3.1), None where it is not used.

    Raises:
        UnreadableError: If they can't be read.
    """
    try:
        return basic_auth.read(request.META.get("HTTP_AUTHORIZATION", ""))
    except ValueError as error:
        raise UnreadableError("The Authorization header can't be read.") from error


def refusal(error: str, *, description: str = "", status: int = HTTPStatus.BAD_REQUEST) -> HttpResponse:
    """Return *error* as RFC 6749 section 5.2 writes it."""
    members = {"error": error, "error_description": description}
    return JsonResponse({name: value for name, value in members.items() if value}, status=status)


def busy(*, retry_after_seconds: int) -> HttpResponse:
    """Return that too much is asked at this time."""
    response = refusal("temporarily_unavailable", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(retry_after_seconds)
    return response


def _require_readable(request: HttpRequest) -> str | None:
    """
    Return the client id that *request* names.

    Raises:
        UnreadableError: If it is not one form with one client.
    """
    if settings.REQUIRE_HTTPS and not request_parts.read(request).is_secure:
        raise UnreadableError("HTTPS is required.")
    if request.META.get("QUERY_STRING"):
        raise UnreadableError("Parameters belong into the body.")
    if request.content_type != _FORM:
        raise UnreadableError(f"Content-Type must be {_FORM}.")
    for name, values in request.POST.lists():
        if len(values) > 1 and name not in _REPEATABLE:
            raise UnreadableError("A parameter is repeated.")
        if any(_CONTROL.search(value) for value in (name, *values)):
            raise UnreadableError("Control characters in a parameter.")
    client_id = request.POST.get("client_id")
    basic = basic_credentials(request)
    if basic is None:
        return client_id
    if "client_secret" in request.POST or client_id not in {None, basic[0]}:
        raise UnreadableError("The client authenticates in two ways.")
    return basic[0]


def _finish(response: HttpResponseBase) -> str | None:
    """Have nobody keep *response*, and return the error with which it refuses; None where it does not."""
    response["Cache-Control"] = "no-store"
    response["Pragma"] = "no-cache"
    if not isinstance(response, HttpResponse) or response.status_code in _NOT_REFUSED:
        return None
    # What the toolkit catches as late as this has no type of its own.
    response["Content-Type"] = "application/json"
    error: str = json.loads(response.content)["error"]
    if error == "invalid_client":
        # As RFC 6749 section 5.2 has it: a challenge in the scheme that a client may use here.
        response["WWW-Authenticate"] = 'Basic realm="oauth", charset="UTF-8"'
    return error
