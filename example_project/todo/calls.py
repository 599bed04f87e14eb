"""Calls this site's own API from inside, through its URLs and every middleware; and the API servers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.urls import reverse
from django.utils import translation
from django.views.decorators.debug import sensitive_variables

from apikeys.issuance import IssuedKey

#: More of a body would be a page about a fault.
_MOST_SHOWN = 2000
_SHOWN_HEADERS = ("WWW-Authenticate", "Retry-After", "Content-Type", "ApiKey-Expires")
#: Of a signed token, what all have in common.
_SHOWN_OF_TOKEN = 12
#: Longer than an API server waits for the authority.
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its answer, without the secret."""

    request_text: str
    status: int
    headers: dict[str, str]
    body: str = field(repr=False)

    @property
    def phrase(self) -> str:
        """What the status means: ``Not Found``."""
        return HTTPStatus(self.status).phrase

    @property
    def data(self) -> Any:
        """The body as JSON, an empty dict where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def response_text(self) -> str:
        """Status, the telling headers and the body, for people."""
        lines = [f"HTTP/1.1 {self.status} {self.phrase}"]
        lines += [f"{name}: {self.headers[name]}" for name in _SHOWN_HEADERS if name in self.headers]
        shown = json.dumps(self.data, indent=2, ensure_ascii=False) if self.data else self.body
        return "\n".join([*lines, "", _beginning(shown)]).rstrip()


def _beginning(text: str) -> str:
    if len(text) <= _MOST_SHOWN:
        return text
    whole_lines, _newline, _rest = text[: _MOST_SHOWN + 1].rpartition("\n")
    return f"{whole_lines or text[:_MOST_SHOWN]}\n…"


@sensitive_variables()
def call(method: str, path: str, *, key: IssuedKey, body: Any = None, origin: HttpRequest) -> Exchange:
    """Return what the API answers to *key*, called from where *origin* came from."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"HTTP_AUTHORIZATION": f"Bearer {key.plaintext}"}
    response = _answer(method, path, headers=headers, content=content, kind="application/json", origin=origin)
    # A page about a fault shows the request's headers.
    text = b"".join(response).decode().replace(key.plaintext, key.key.masked)
    request_text = f"{method} {path} HTTP/1.1\nAuthorization: Bearer {key.key.masked}"
    if content:
        request_text += f"\nContent-Type: application/json\n\n{content.decode()}"
    return Exchange(request_text=request_text, status=response.status_code, headers=dict(response.items()), body=text)


@dataclass(frozen=True, kw_only=True)
class SignedFor:
    """How a key was exchanged for a signed token."""

    exchange: Exchange
    #: Empty where that was refused.
    token: str = field(repr=False)

    @property
    def masked(self) -> str:
        """How the token begins: all begin alike."""
        return _masked(self.token)


@sensitive_variables()
def signed_for(key: IssuedKey, *, scopes: Iterable[str], resource: str, origin: HttpRequest) -> SignedFor:
    """Return the signed token that the authority gives for *key*, good for *scopes* at *resource* (RFC 8693)."""
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": key.plaintext,
        "subject_token_type": "urn:apikeys:token-type:api-key",
        "scope": " ".join(scopes),
        "resource": resource,
    }
    path = reverse("apikeys_authority:token")
    kind = "application/x-www-form-urlencoded"
    response = _answer("POST", path, headers={}, content=urlencode(fields).encode(), kind=kind, origin=origin)
    text = b"".join(response).decode()
    exchange = Exchange(request_text="", status=response.status_code, headers=dict(response.items()), body=text)
    given = exchange.data.get("access_token", "") if isinstance(exchange.data, dict) else ""
    token = given if isinstance(given, str) else ""
    text = text.replace(key.plaintext, key.key.masked)
    shown = "\n  &".join(f"{name}={value}" for name, value in (fields | {"subject_token": key.key.masked}).items())
    return SignedFor(
        exchange=replace(
            exchange,
            request_text=f"POST {path} HTTP/1.1\nContent-Type: {kind}\n\n{shown}",
            body=text.replace(token, _masked(token)) if token else text,
        ),
        token=token,
    )


@sensitive_variables("bearer", "connection")
def call_server(address: str, path: str, *, bearer: str, shown: str) -> Exchange:
    """
    Return what the API server at *address* answers to the credential *bearer*, which is told as *shown*.

    Raises:
        OSError: If it does not answer.
    """
    host = urlsplit(address).netloc
    connection = HTTPConnection(host, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}", "Accept": "application/json"})
        response = connection.getresponse()
        text = response.read().decode().replace(bearer, shown)
    except HTTPException as error:
        message = f"{host} does not speak HTTP."
        raise OSError(message) from error
    finally:
        connection.close()
    request_text = f"GET {path} HTTP/1.1\nHost: {host}\nAuthorization: Bearer {shown}"
    return Exchange(request_text=request_text, status=response.status, headers=dict(response.headers), body=text)


@sensitive_variables()
def _answer(method: str, path: str, *, headers: dict[str, str], content: bytes, kind: str, origin: HttpRequest) -> Any:
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": origin.META.get("SCRIPT_NAME", ""),
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": origin.META["SERVER_NAME"],
        "SERVER_PORT": origin.META["SERVER_PORT"],
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": origin.META.get("REMOTE_ADDR", ""),
        "HTTP_HOST": origin.get_host(),
        "HTTP_ACCEPT": "application/json",
        "HTTP_ACCEPT_LANGUAGE": origin.headers.get("Accept-Language", ""),
        "CONTENT_TYPE": kind if content else "",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": BytesIO(content),
        "wsgi.url_scheme": origin.scheme,
        **headers,
    }
    # Not the handler as a WSGI application: it would start and finish a request within this one, whose database
    # connection that closes. What the call leaves to be written after the response is written after this one's.
    # It picks a language for its own request; this one goes on in the one that it had.
    with translation.override(translation.get_language()):
        return WSGIHandler().get_response(WSGIRequest(environ))


def _masked(token: str) -> str:
    return f"{token[:_SHOWN_OF_TOKEN]}…"
