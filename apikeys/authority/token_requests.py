"""
What a request to the token endpoint asks for, and whether it is about an API key.

One form of RFC 6749 section 3.2: no parameter is repeated, none stands in the address, one without a value counts as
left out, and the key is there once.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.http import HttpRequest, QueryDict
from django.views.decorators.debug import sensitive_variables

from ..core import basic_auth
from . import forms
from .forms import FormError
from .texts import claims_to_be_key
from .token_refusals import TokenRefusedError, unauthenticated

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # a name, as those below
CLIENT_CREDENTIALS = "client_credentials"
API_KEY_TYPE = "urn:apikeys:token-type:api-key"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"

_IN_ADDRESS = "Parameters belong into the body."
_NO_GRANT = "grant_type is missing."
_GRANTS = "With an API key there is client_credentials, and token exchange."
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ISSUED_TYPES = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE})
#: May stand more than once (RFC 8707 section 2); that they name one server is asked later.
_REPEATABLE = frozenset({"resource"})


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """A request for a token that stands for an API key. Nothing of it is verified."""

    grant_type: str
    #: What claims to be a key: the subject token, or the client's secret.
    key: str = field(repr=False)
    #: The client that it says to be, None where it says nothing: the key tells.
    client_id: str | None
    scopes: tuple[str, ...]
    #: The values of ``audience`` and ``resource``.
    audiences: tuple[str, ...]
    issued_token_type: str


@sensitive_variables()
def read(request: HttpRequest) -> TokenRequest | None:
    """
    Return what *request* asks for, or None where that has nothing to do with API keys.

    Raises:
        TokenRefusedError: If it has, and can't be read.
    """
    basic = _basic(request)
    try:
        sent = forms.posted(request) if request.content_type == forms.CONTENT_TYPE else QueryDict()
        is_exchange = TOKEN_EXCHANGE in sent.getlist("grant_type")
        if not (is_exchange or any(map(claims_to_be_key, _secrets(sent, basic=basic)))):
            return None
        form = forms.plain(sent, repeatable=_REPEATABLE)
    except FormError as error:
        raise TokenRefusedError("invalid_request", description=str(error)) from error
    _require_printable(form)
    if request.META.get("QUERY_STRING"):
        raise TokenRefusedError("invalid_request", description=_IN_ADDRESS)
    if "HTTP_X_API_KEY" in request.META or ("HTTP_AUTHORIZATION" in request.META and basic is None):
        raise TokenRefusedError("invalid_request", description="Send the key once, in the body or as HTTP Basic.")
    grant = form.get("grant_type")
    if grant is None:
        raise TokenRefusedError("invalid_request", description=_NO_GRANT)
    if not is_exchange and grant != CLIENT_CREDENTIALS:
        raise TokenRefusedError(
            "unsupported_grant_type", description="A key is exchanged, or the secret of client_credentials."
        )
    client_id, secret = _client(form, basic=basic)
    key = _subject(form, secret=secret) if is_exchange else secret
    return TokenRequest(
        grant_type=grant,
        key=key or "",
        client_id=client_id,
        # Separated by single spaces (RFC 6749 section 3.3): what lies between two is a scope that nobody holds.
        scopes=tuple(dict.fromkeys(str(form["scope"]).split(" "))) if "scope" in form else (),
        audiences=(*form.getlist("audience"), *form.getlist("resource")),
        issued_token_type=form.get("requested_token_type", ACCESS_TOKEN_TYPE) if is_exchange else ACCESS_TOKEN_TYPE,
    )


def refusal_of_other(request: HttpRequest) -> TokenRefusedError:
    """Return why *request*, which ``read`` has no use for, gets no token where nobody else gives any."""
    if request.content_type != forms.CONTENT_TYPE:
        return TokenRefusedError("invalid_request", description=f"Content-Type must be {forms.CONTENT_TYPE}.")
    if request.META.get("QUERY_STRING"):
        return TokenRefusedError("invalid_request", description=_IN_ADDRESS)
    if not any(request.POST.getlist("grant_type")):
        return TokenRefusedError("invalid_request", description=_NO_GRANT)
    if request.POST.getlist("grant_type") == [CLIENT_CREDENTIALS]:
        return unauthenticated(description="The client authenticates with an API key as its secret.")
    return TokenRefusedError("unsupported_grant_type", description=_GRANTS)


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    try:
        return basic_auth.read(request.META.get("HTTP_AUTHORIZATION", ""))
    except ValueError:
        # No key of ours: whoever else takes the request says what is wrong with it.
        return None


@sensitive_variables()
def _secrets(sent: QueryDict, *, basic: tuple[str, str] | None) -> Iterator[str]:
    yield from sent.getlist("client_secret")
    if basic is not None:
        yield basic[1]


@sensitive_variables()
def _require_printable(form: QueryDict) -> None:
    for name, values in form.lists():
        if any(_CONTROL.search(text) for text in (name, *values)):
            raise TokenRefusedError("invalid_request", description="Control characters in a parameter.")


@sensitive_variables()
def _client(form: QueryDict, *, basic: tuple[str, str] | None) -> tuple[str | None, str | None]:
    """Return the id and the secret that the client authenticates with, in one way."""
    client_id = form.get("client_id")
    if basic is None:
        return client_id, form.get("client_secret")
    if "client_secret" in form or client_id not in {None, basic[0]}:
        raise TokenRefusedError("invalid_request", description="The client authenticates in two ways.")
    return basic


@sensitive_variables()
def _subject(form: QueryDict, *, secret: str | None) -> str:
    """Return the subject token of an exchange (RFC 8693 section 2.1)."""
    subject = form.get("subject_token")
    if subject is None or form.get("subject_token_type") != API_KEY_TYPE:
        raise TokenRefusedError("invalid_request", description=f"subject_token must be of the type {API_KEY_TYPE}.")
    if "actor_token" in form or "actor_token_type" in form:
        raise TokenRefusedError("invalid_request", description="Nobody acts for a key: actor_token is not taken.")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) not in _ISSUED_TYPES:
        raise TokenRefusedError("invalid_request", description="Tokens are access tokens, which are JWTs.")
    # The key is all that a client has to prove itself by. Another one beside it would be of another client, or prove
    # nothing that this one does not.
    if secret is not None and not hmac.compare_digest(secret.encode(), subject.encode()):
        raise unauthenticated(description="The client authenticates with the key that it exchanges.")
    return subject
