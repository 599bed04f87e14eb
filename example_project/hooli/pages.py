"""The Summariser's pages. It knows of a visitor what the API lets it read, and nothing else."""

from __future__ import annotations

from datetime import date

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from oauthlib.oauth2 import OAuth2Error

from example_project.outside.connection import Connection, NotAllowedError, NotConnectedError
from example_project.outside.pages import FILES, handover

from .summary import OpenTodo, sentence

_NAME = "summariser"
_SCOPES = ("todo:read",)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the day in a sentence, or ask to be let in."""
    connection = _connection(request)
    problem = ""
    if connection.is_there:
        try:
            return _show_summary(request, connection)
        except (NotConnectedError, NotAllowedError):
            problem = _("Pied Piper Todo no longer lets us in. Connect again, if you like.")
    return _ask(request, problem=problem)


@require_POST
def connect(request: HttpRequest) -> HttpResponse:
    """Send the visitor to Pied Piper Todo."""
    return redirect(_connection(request).address_of_consent())


@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Take what the visitor comes back with."""
    try:
        _connection(request).finish(request.build_absolute_uri(), issuer=request.GET.get("iss"))
    except OAuth2Error as error:
        said = {
            "access_denied": _("You said no. We have seen nothing."),
            "mismatching_state": _("This answer belongs to no question that we asked in this browser."),
        }
        problem = said.get(error.error, _("Pied Piper Todo did not let us in: %(code)s.") % {"code": error.error})
        return _ask(request, problem=problem, status=200 if error.error == "access_denied" else 400)
    # The code is out of the address bar, and a reload brings it to nobody.
    return redirect("home")


@require_POST
def disconnect(request: HttpRequest) -> HttpResponse:
    """Give the token back."""
    _connection(request).revoke()
    return redirect("home")


def _connection(request: HttpRequest) -> Connection:
    return Connection(request, _NAME, scopes=_SCOPES, callback="/callback")


def _show_summary(request: HttpRequest, connection: Connection) -> HttpResponse:
    todos = []
    at: str | None = "/api/todos/?is_done=false"
    while at is not None:
        page = connection.call("GET", at)
        todos += [
            OpenTodo(title=todo["title"], due_on=todo["due_on"] and date.fromisoformat(todo["due_on"]))
            for todo in page["results"]
        ]
        at = page["next"] and page["next"].removeprefix(handover().site)
    said = sentence(todos, today=timezone.localdate())
    return render(request, "hooli/summary.html", {"sentence": said, "todos": todos})


def _ask(request: HttpRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    return render(request, "hooli/connect.html", {"problem": problem, "site": handover().site}, status=status)


urlpatterns = [
    path("", home, name="home"),
    path("connect", connect, name="connect"),
    path("callback", callback, name="callback"),
    path("disconnect", disconnect, name="disconnect"),
    *FILES,
]
