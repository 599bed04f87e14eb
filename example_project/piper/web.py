"""The web app: of Pied Piper itself, so that nobody is asked. Who calls says its key, for whom the person's token."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from oauthlib.oauth2 import OAuth2Error

from example_project.outside.connection import Connection, NotAllowedError, NotConnectedError
from example_project.outside.pages import registration

_NAME = "web"
_SCOPES = ("todo:read", "profile:read")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show who is signed in."""
    connection = _connection(request)
    if not connection.is_there:
        return render(request, "piper/web.html")
    try:
        profile = connection.call("GET", "/api/profile/", headers={"X-API-Key": registration(_NAME).api_key})
    except NotConnectedError:
        return render(request, "piper/web.html", {"problem": _("You are signed out.")})
    except NotAllowedError:
        connection.revoke()
        return render(request, "piper/web.html", {"problem": _("You are signed out.")})
    return render(request, "piper/web.html", {"profile": profile})


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the visitor to sign in."""
    return redirect(_connection(request).address_of_consent())


@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Take what the visitor comes back with."""
    try:
        _connection(request).finish(request.build_absolute_uri(), issuer=request.GET.get("iss"))
    except OAuth2Error as error:
        problem = _("Not signed in: %(code)s.") % {"code": error.error}
        return render(request, "piper/web.html", {"problem": problem}, status=400)
    return redirect("home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Give the token back."""
    _connection(request).revoke()
    return redirect("home")


def _connection(request: HttpRequest) -> Connection:
    return Connection(request, _NAME, scopes=_SCOPES, callback="/callback")


urlpatterns = [
    path("", home, name="home"),
    path("sign-in", sign_in, name="sign_in"),
    path("callback", callback, name="callback"),
    path("sign-out", sign_out, name="sign_out"),
]
