"""“Not you?”: sign out, sign in as somebody else, and come back to the question."""

from __future__ import annotations

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from ...page_headers import protect
from . import device


@require_POST
@csrf_protect
def switch_account(request: HttpRequest) -> HttpResponse:
    """
    Sign out, and ask who is there. ``next`` leads back, on this site only.

    ``device`` names the request of a device whose code was entered by who signs out.
    """
    address = request.POST.get("next", "")
    is_ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    if request.user.is_authenticated:
        device.put_back(request.user, request.POST.get("device", ""))
    logout(request)
    response = redirect_to_login(address if is_ours else "/")
    response.status_code = 303
    protect(response)
    return response
