"""
OAuth as real apps do it: Authlib over httpx, which Django's handler answers without a server.

People's half, the pages, goes through Django's test client as everywhere.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import authlib.deprecate  # noqa: F401  # it sets a filter of its own, which the next lines may then go around
import httpx
from authlib.common.security import generate_token
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from oauth2_provider.models import (
    get_access_token_model,
    get_device_grant_model,
    get_grant_model,
    get_refresh_token_model,
)

from apikeys import clients
from apikeys.models import Client, ClientKind, EventKind, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.oauth.models import ClientApplication

with warnings.catch_warnings():
    # Authlib would rather have httpx2, which is not what httpx's WSGI transport belongs to.
    warnings.simplefilter("ignore")
    from authlib.integrations.httpx_client import OAuth2Client

SITE = "https://testserver"
AUTHORIZE = "/o/authorize/"
TOKEN = "/o/token/"
REVOKE = "/o/revoke_token/"
DEVICE_AUTHORIZATION = "/o/device-authorization/"
CALLBACK = "https://app.example/callback"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class App:
    """A client that signs in with OAuth, and what it knows."""

    link: ClientApplication
    secret: str | None = field(repr=False)

    @property
    def client(self) -> Client:
        return self.link.client

    @property
    def client_id(self) -> str:
        return self.link.application.client_id


class Project(httpx.BaseTransport):
    """This project, on the connection of the test that calls it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)
        response = Browser(enforce_csrf_checks=True).generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=headers.pop("content-type", ""),
            secure=request.url.scheme == "https",
            headers=headers,
        )
        return httpx.Response(response.status_code, headers=list(response.items()), content=response.content)


def make_app(
    sign_in: str = "authorization-code", *, scopes: Sequence[str] = ("todo:read", "todo:write"), **fields: Any
) -> App:
    """Return a new app whose ceiling is *scopes*. *fields* go to ``applications.create``, *kind* to the client."""
    kind = fields.pop("kind", ClientKind.THIRD_PARTY)
    name = fields.pop("name", f"App {next(_numbers)}")
    client = clients.create(name=name, allowed_scopes=scopes, kind=kind)
    if sign_in == "authorization-code":
        fields.setdefault("redirect_uris", [CALLBACK])
    made = applications.create(client, sign_in=sign_in, **fields)
    return App(link=made.link, secret=made.secret)


def make_person(name: str = "") -> Any:
    return get_user_model().objects.create_user(name or f"oauth-person{next(_numbers)}")


def session(app: App, **options: Any) -> OAuth2Client:
    """Return Authlib's client of *app*, which reaches this project over HTTPS."""
    options.setdefault("redirect_uri", CALLBACK if app.link.application.redirect_uris else None)
    if app.secret is None:
        options.setdefault("token_endpoint_auth_method", "none")
    return OAuth2Client(
        client_id=options.pop("client_id", app.client_id),
        client_secret=options.pop("client_secret", app.secret),
        code_challenge_method="S256",
        base_url=SITE,
        transport=Project(),
        **options,
    )


def post(path: str, data: Any, *, app: App | None = None, **options: Any) -> httpx.Response:
    """Return the answer to a form that is sent to *path*, with the id and secret of *app* as HTTP Basic."""
    auth = httpx.USE_CLIENT_DEFAULT if app is None else httpx.BasicAuth(app.client_id, app.secret or "")
    with httpx.Client(base_url=SITE, transport=Project()) as http:
        return http.post(path, data=data, auth=auth, **options)


def browser_of(person: Any) -> Browser:
    browser = Browser()
    browser.force_login(person)
    return browser


def authorization_url(app: App, verifier: str, *, scope: str | None = "todo:read", **parameters: Any) -> str:
    with session(app, scope=scope) as oauth:
        url, _state = oauth.create_authorization_url(f"{SITE}{AUTHORIZE}", code_verifier=verifier, **parameters)
    return url.removeprefix(SITE)


def allow(app: App, person: Any, url: str, *, data: dict[str, Any] | None = None) -> str:
    """Return the address that *person* is sent to, who reads the page at *url* and allows what it says."""
    response = press(browser_of(person), url, data or {"allow": "yes"})
    assert response.status_code in {302, 303}, response.content
    location: str = response["Location"]
    return location


def press(browser: Browser, url: str, data: dict[str, Any]) -> Any:
    """Return what follows when *browser* fills *data* into the form of the page at *url*, which is shown first."""
    # As the app would ask for the page: what was allowed a moment ago needs none.
    page = browser.get(f"{url}{'&' if '?' in url else '?'}prompt=consent", secure=True)
    return browser.post(url, {**question_in(page), **data}, secure=True)


def question_in(page: Any) -> dict[str, str]:
    """Return what the form of *page* says of the question that it answers; nothing where there is none."""
    found = re.search(r'name="question" value="([^"]*)"', page.content.decode())
    return {"question": unescape(found[1])} if found else {}


def code_in(location: str) -> str:
    return parse_qs(urlsplit(location).query)["code"][0]


@dataclass(frozen=True)
class Code:
    """A code, and what proves that it is its app's."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)


def get_code(app: App, person: Any, *, scope: str | None = "todo:read", **parameters: Any) -> Code:
    """Return the code that *app* is sent after *person* allowed *scope*."""
    verifier = generate_token(48)
    return Code(code_in(allow(app, person, authorization_url(app, verifier, scope=scope, **parameters))), verifier)


def exchange(app: App, code: Code, /, **changes: Any) -> httpx.Response:
    """Return the answer of the token endpoint to *code*; *changes* replace parameters, None leaves one out."""
    data = {
        "grant_type": "authorization_code",
        "code": code.code,
        "redirect_uri": CALLBACK,
        "code_verifier": code.verifier,
        **changes,
    }
    return post_as(app, TOKEN, data)


def get_token(app: App, person: Any, *, scope: str | None = "todo:read") -> dict[str, Any]:
    """Return the token response that *app* gets for *person*, by way of the consent page."""
    response = exchange(app, get_code(app, person, scope=scope))
    assert response.status_code == 200, response.text
    token: dict[str, Any] = response.json()
    return token


def refresh(app: App, refresh_token: str, **changes: Any) -> httpx.Response:
    return post_as(app, TOKEN, {"grant_type": "refresh_token", "refresh_token": refresh_token, **changes})


def client_credentials(app: App, **changes: Any) -> httpx.Response:
    return post_as(app, TOKEN, {"grant_type": "client_credentials", **changes})


def start_device(app: App, **changes: Any) -> httpx.Response:
    return post_as(app, DEVICE_AUTHORIZATION, {"client_id": app.client_id, "scope": "todo:read", **changes})


def poll_device(app: App, device_code: str, **changes: Any) -> httpx.Response:
    return post_as(app, TOKEN, {"grant_type": DEVICE_CODE, "device_code": device_code, **changes})


def approve_device(app: App, person: Any, started: dict[str, Any], *, scopes: Sequence[str] = ("todo:read",)) -> None:
    """Have *person* allow the device, past the page, as that does it."""
    consents.give(person, app.client, scopes=scopes)
    grants = get_device_grant_model().objects
    grants.filter(user_code=started["user_code"].replace("-", "")).update(
        user=person, status="authorized", scope=" ".join(scopes)
    )


def revoke(app: App, token: str, **changes: Any) -> httpx.Response:
    return post_as(app, REVOKE, {"token": token, **changes})


def post_as(app: App, path: str, data: dict[str, Any]) -> httpx.Response:
    sent = {name: value for name, value in data.items() if value is not None}
    if app.secret is None:
        return post(path, {"client_id": app.client_id, **sent})
    return post(path, sent, app=app)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def working(model: Any) -> int:
    rows = model.objects.all()
    return rows.filter(revoked=None).count() if model is get_refresh_token_model() else rows.count()


def issued() -> tuple[int, int, int]:
    """Return how many access tokens, working refresh tokens and codes there are."""
    return working(get_access_token_model()), working(get_refresh_token_model()), working(get_grant_model())


def refusals() -> list[tuple[str | None, str]]:
    """Return the client's name and the error of each refusal that was written down."""
    events = KeyEvent.objects.filter(kind=EventKind.OAUTH_REFUSED).order_by("pk")
    return [(event.client.name if event.client else None, event.details["error"]) for event in events]


def replays() -> list[tuple[str, str, str]]:
    """Return the client's name, the person and what it was of each spent secret that came again."""
    events = KeyEvent.objects.filter(kind=EventKind.TOKEN_REPLAYED).order_by("pk").select_related("client")
    return [(str(event.client), event.actor_name, event.details["what"]) for event in events]


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Return status and error of a refusal, which nobody keeps."""
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("application/json")
    return response.status_code, response.json()["error"]
