"""Calls this site's own API from inside, through its URLs and every middleware."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.utils import translation
from django.views.decorators.debug import sensitive_variables

from apikeys.issuance import IssuedKey

#: More of a body would be a page about a fault.
_MOST_SHOWN = 2000
_SHOWN_HEADERS = ("WWW-Authenticate", "Content-Type", "ApiKey-Expires")


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
        "HTTP_AUTHORIZATION": f"Bearer {key.plaintext}",
        "CONTENT_TYPE": "application/json" if content else "",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": BytesIO(content),
        "wsgi.url_scheme": origin.scheme,
    }
    # Not the handler as a WSGI application: it would start and finish a request within this one, whose database
    # connection that closes. What the call leaves to be written after the response is written after this one's.
    # It picks a language for its own request; this one goes on in the one that it had.
    with translation.override(translation.get_language()):
        response: Any = WSGIHandler().get_response(WSGIRequest(environ))
    text = b"".join(response).decode()
    # A page about a fault shows the request's headers.
    text = text.replace(key.plaintext, key.key.masked)
    request_text = f"{method} {path} HTTP/1.1\nAuthorization: Bearer {key.key.masked}"
    if content:
        request_text += f"\nContent-Type: application/json\n\n{content.decode()}"
    return Exchange(request_text=request_text, status=response.status_code, headers=dict(response.items()), body=text)
