"""What the endpoints have in common that take a secret in a form: how it is read, and that nobody keeps it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.parsers import FormParser
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from .. import forms
from ..forms import FormError
from .one_type import OneType

_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class ProtocolError(APIException):
    """A refusal as RFC 6749 section 5.2 writes it, with a stable code beside it. Do not raise directly."""

    code = ""

    def __init__(self, **members: str) -> None:
        # The parent would turn every member of the body into an object of its own.
        self.detail: Any = {**members, "code": self.code}

    def __str__(self) -> str:
        return self.code

    def get_codes(self) -> str:
        return self.code

    def get_full_details(self) -> Any:
        return self.detail


class UnreadableFormError(ProtocolError):
    """A form that can't be read. The text is for the developer."""

    status_code: int = HTTPStatus.BAD_REQUEST
    code = "parameter_invalid"

    def __init__(self, description: str) -> None:
        super().__init__(error="invalid_request", error_description=description)


class UnavailableError(ProtocolError):
    """Nobody can tell now (RFC 7009 section 2.2.1)."""

    status_code: int = HTTPStatus.SERVICE_UNAVAILABLE
    code = "temporarily_unavailable"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__(error=self.code)
        #: Of which REST framework's exception handler makes ``Retry-After``.
        self.wait = retry_after_seconds


@method_decorator(sensitive_post_parameters(), name="dispatch")
class FormPostView(APIView):
    """A form by POST and nothing else: an address ends up in logs."""

    http_method_names = ["post"]
    content_negotiation_class = OneType
    parser_classes = [FormParser]
    renderer_classes = [JSONRenderer]
    #: Of no API that a project publishes a schema of, or has versions of.
    schema = None
    versioning_class = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, **_NOT_KEPT}


@sensitive_variables()
def form_of(request: HttpRequest) -> QueryDict:
    """
    Return the form that *request* brings, each name in it once. Names without a value are left out (RFC 6749 3.2).

    Raises:
        UnreadableFormError: If it is too large, repeats a name, or the address holds parameters.
        UnsupportedMediaType: If it is no form.
    """
    if request.META.get("QUERY_STRING"):
        raise UnreadableFormError("Parameters belong into the body.")
    if request.content_type != forms.CONTENT_TYPE:
        raise UnsupportedMediaType(request.content_type or "")
    try:
        return forms.plain(forms.posted(request))
    except FormError as error:
        raise UnreadableFormError(str(error)) from error


@sensitive_variables()
def required(form: QueryDict, name: str) -> str:
    """
    Return the value of *name* in *form*.

    Raises:
        UnreadableFormError: If it is not there.
    """
    value = form.get(name)
    if not value:
        raise UnreadableFormError(f"The parameter {name} is missing.")
    return str(value)
