"""The Apple Watch app: no keyboard, so that it shows a code and waits (RFC 8628). It keeps no secret."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from oauthlib.oauth2 import DeviceClient, OAuth2Error
from requests_oauthlib import OAuth2Session

from example_project.outside.connection import Connection, NotAllowedError, NotConnectedError, endpoint
from example_project.outside.pages import registration

_NAME = "watch"
_SCOPES = ("todo:read", "todo:write")
_WAITING = "watch.waiting"
#: By how much a device that asked too early waits longer (RFC 8628 section 3.5).
_SLOWER_BY_SECONDS = 5
_TIMEOUT_SECONDS = 10


@require_safe
def watch(request: HttpRequest) -> HttpResponse:
    """Show the to-dos, the code to enter, or what there is to do."""
    connection = _connection(request)
    problem = _poll(request, connection) if _WAITING in request.session else ""
    if connection.is_there:
        try:
            return _show_todos(request)
        except NotConnectedError:
            problem = _("Access ended. Pair again.")
    waiting = request.session.get(_WAITING)
    response = render(request, "piper/watch.html", {"waiting": waiting, "problem": problem})
    if waiting is not None:
        # It asks again as the page is shown again: no script, and never more often than it may.
        response["Refresh"] = str(waiting["interval"])
    return response


@require_POST
def pair(request: HttpRequest) -> HttpResponse:
    """Ask for a code to show."""
    response = OAuth2Session(client=DeviceClient(_client_id())).post(
        endpoint("device-authorization"),
        data={"client_id": _client_id(), "scope": " ".join(_SCOPES)},
        withhold_token=True,
        timeout=_TIMEOUT_SECONDS,
    )
    response.raise_for_status()
    given = response.json()
    interval = int(given.get("interval", _SLOWER_BY_SECONDS))
    request.session[_WAITING] = {
        "device_code": given["device_code"],
        "user_code": given["user_code"],
        "address": given["verification_uri"],
        "interval": interval,
        "next_at": time.time() + interval,
    }
    return redirect("watch")


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add a to-do."""
    try:
        _connection(request).call("POST", "/api/todos/", json={"title": request.POST.get("title", "")})
    except NotAllowedError:
        return _show_todos(request, problem=_("You let this watch look at your to-dos, not change them."))
    except NotConnectedError:
        return redirect("watch")  # which says so
    return redirect("watch")


def _show_todos(request: HttpRequest, *, problem: str = "") -> HttpResponse:
    todos = _connection(request).call("GET", "/api/todos/?is_done=false")
    context = {"todos": todos["results"], "problem": problem}
    return render(request, "piper/watch_todos.html", context, status=403 if problem else 200)


def _poll(request: HttpRequest, connection: Connection) -> str:
    """Ask whether the person has decided, unless it is too early. Return what went wrong, for people."""
    waiting: dict[str, Any] = request.session[_WAITING]
    if time.time() < waiting["next_at"]:
        return ""
    session = OAuth2Session(client=DeviceClient(_client_id()))
    try:
        token = session.fetch_token(
            endpoint("token"),
            device_code=waiting["device_code"],
            include_client_id=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except OAuth2Error as error:
        if error.error in {"authorization_pending", "slow_down"}:
            slower = _SLOWER_BY_SECONDS if error.error == "slow_down" else 0
            interval = waiting["interval"] + slower
            request.session[_WAITING] = {**waiting, "interval": interval, "next_at": time.time() + interval}
            return ""
        del request.session[_WAITING]
        said = {"access_denied": _("You said no."), "expired_token": _("The code expired. Pair again.")}
        return said.get(error.error, _("Not paired: %(code)s.") % {"code": error.error})
    del request.session[_WAITING]
    connection.begin(token)
    return ""


def _connection(request: HttpRequest) -> Connection:
    return Connection(request, _NAME, scopes=_SCOPES)


def _client_id() -> str:
    return registration(_NAME).client_id


urlpatterns = [
    path("watch/", watch, name="watch"),
    path("watch/pair/", pair, name="pair"),
    path("watch/add/", add, name="add"),
]
