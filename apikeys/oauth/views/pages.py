"""What the pages for people have in common: policy, context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.generic import View

from ... import request_parts
from ...conf import settings
from ...page_headers import protect

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action {targets}"
)


@method_decorator(csrf_protect, name="dispatch")
class PersonPage(LoginRequiredMixin, View):
    """
    A page for who is signed in; everybody else signs in and comes back.

    No other site presses its buttons, in a project without Django's CSRF middleware either.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_in_clear(request):
            return broken(request, code="https_required")
        response = super().dispatch(request, *args, **kwargs)
        protect(response)
        return response


def page(
    request: HttpRequest,
    template: str,
    *,
    title: str,
    status: int = 200,
    form_targets: Iterable[str] = (),
    **context: Any,
) -> TemplateResponse:
    """
    Return the page that *template* shows, with a strict Content Security Policy.

    *form_targets* are where its forms may lead beside this site: a browser applies ``form-action`` to redirects too.
    """
    context |= {
        "title": title,
        "site_name": site_name(request),
        "person_name": person_name(request.user),
        "here": request.get_full_path(),
    }
    response = TemplateResponse(request, f"apikeys/oauth/{template}", context, status=status)
    targets = ["'self'", *form_targets, *_login_targets()]
    response["Content-Security-Policy"] = _POLICY.format(targets=" ".join(targets))
    protect(response)
    return response


def broken(request: HttpRequest, *, code: str) -> TemplateResponse:
    """Return the page that leads nowhere; *code* tells the app's developer why."""
    return page(request, "broken.html", title=_("This link is broken"), status=400, code=code)


def is_in_clear(request: HttpRequest) -> bool:
    """Whether *request* came over plain HTTP though that is refused: session and code could be read on the way."""
    return settings.REQUIRE_HTTPS and not request_parts.read(request).is_secure


def see_other(address: str) -> HttpResponse:
    """Return the answer to a form that sends the browser to *address* with a GET (RFC 9110 section 15.4.4)."""
    response = HttpResponseRedirect(address)
    response.status_code = 303
    return response


def site_name(request: HttpRequest) -> str:
    """Return what pages call this site."""
    return settings.SITE_NAME or request.get_host()


def person_name(user: Any) -> str:
    """Return what the pages call *user*: the first name where there is one; empty for nobody."""
    if not user.is_authenticated:
        return ""
    name = user.get_short_name() if hasattr(user, "get_short_name") else ""
    return str(name or user.get_username())


def form_target(address: str) -> str:
    """Return the source expression of Content Security Policy that lets a form lead to *address*."""
    parts = urlsplit(address)
    host = host_of(address)
    # The grammar of hosts has no IPv6 address; and what is no web page has no host.
    return f"{parts.scheme}:" if not host or host.startswith("[") else f"{parts.scheme}://{host}"


def host_of(address: str) -> str:
    """Return the host of *address*, with its port where it names one; empty where it is no web page."""
    parts = urlsplit(address)
    # Not other letters than those of ASCII: two names that look alike must not read alike.
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.hostname.isascii():
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if parts.port is None else f"{host}:{parts.port}"


def _login_targets() -> list[str]:
    login = resolve_url(django_settings.LOGIN_URL)
    return [form_target(login)] if urlsplit(login).netloc else []
