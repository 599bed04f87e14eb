"""The one response that holds a client secret, and the page that asks for another one."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ...core import errors
from ...models import Client
from ...page_headers import protect
from ...policy import long_date
from .. import applications
from ..admin_forms import link_of
from ..applications import NewApplication
from ..models import ClientApplication
from ..sign_in import SignIn, may_change

if TYPE_CHECKING:
    from .clients import ClientAdmin

logger = logging.getLogger("apikeys.admin")


class SecretResponse(TemplateResponse):
    """
    Show a new client secret, once.

    Rendered after the commit, as the reveal of a key: a secret that is shown is a secret that works. One that can't be
    shown is known to nobody.
    """

    @sensitive_variables("new")
    def __init__(self, admin: ClientAdmin, request: HttpRequest, client: Client, new: NewApplication) -> None:
        request.current_app = admin.admin_site.name
        super().__init__(request, "admin/apikeys/oauth/secret.html", {})
        self.admin = admin
        self.client = client
        self.new = new
        protect(self)

    def resolve_context(self, context: Any) -> Any:
        assert self._request is not None  # noqa: S101  # given in __init__
        title = _("Copy the client secret")
        # As a whole: what Django logs of a context is its repr, and this one's keeps the secret to itself.
        return {**_context(self.admin, self._request, self.client, title=title, new=self.new), **context}

    def render(self) -> Any:
        if self.is_rendered:
            return self
        try:
            return super().render()
        except Exception as error:  # noqa: BLE001  # whatever it was, the person must learn that there is no secret to copy
            self._apologise(error)
            return self

    def _apologise(self, error: Exception) -> None:
        # Where, but not what: the message of a template's error may quote its context.
        where = "".join(traceback.format_tb(error.__traceback__))
        client_id, kind = self.client.client_id, type(error).__name__
        logger.error("the page with the secret of %s could not be rendered: %s\n%s", client_id, kind, where)
        self.status_code = 500
        # Without the admin's templates, which may be what is broken.
        context = {"secret_url": _secret_url(self.admin, self.client)}
        self.content = render_to_string("admin/apikeys/oauth/unshown.html", context)


@sensitive_variables("new")
def replace_page(admin: ClientAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Return the page that asks, or the new secret of the client with the primary key *pk*."""
    client = Client.objects.filter(pk=pk).first()
    link = None if client is None else link_of(client)
    if client is None or link is None or SignIn.of(link).is_public:
        raise Http404
    if not may_change(request.user):
        raise PermissionDenied
    if request.method != "POST":
        return _question(admin, request, client, link)
    if request.POST.get("seen", "") != _seen(link):
        return _conflict(admin, request, client)
    try:
        with transaction.atomic(using=router.db_for_write(ClientApplication)):
            secret = applications.replace_secret(link, by=request.user, source="admin")
            admin.log_change(request, client, _("Replaced the client secret."))
    except errors.SecretReplacedError:
        return _conflict(admin, request, client)
    except errors.APIKeysError as error:
        return _question(admin, request, client, link, refusal=str(error))
    return SecretResponse(admin, request, client, NewApplication(link=link, secret=secret))


def _question(
    admin: ClientAdmin, request: HttpRequest, client: Client, link: ClientApplication, *, refusal: str = ""
) -> HttpResponse:
    is_first = link.secret_set_at is None
    title = _("Set a client secret for “%(name)s”?") if is_first else _("Replace the client secret of “%(name)s”?")
    return _page(
        admin,
        request,
        client,
        "replace_secret.html",
        title=title % {"name": client.name},
        seen=_seen(link),
        set_on=long_date(link.secret_set_at) if link.secret_set_at else "",
        refusal=refusal,
        status=403 if refusal else 200,
    )


def _conflict(admin: ClientAdmin, request: HttpRequest, client: Client) -> HttpResponse:
    return _page(admin, request, client, "secret_conflict.html", title=_("Nothing new was created"), status=409)


def _page(
    admin: ClientAdmin, request: HttpRequest, client: Client, template: str, *, title: str, status: int, **context: Any
) -> TemplateResponse:
    request.current_app = admin.admin_site.name
    values = _context(admin, request, client, title=title, **context)
    response = TemplateResponse(request, f"admin/apikeys/oauth/{template}", values, status=status)
    protect(response)
    return response


def _context(admin: ClientAdmin, request: HttpRequest, client: Client, *, title: str, **context: Any) -> dict[str, Any]:
    site = admin.admin_site.name
    return {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": title,
        "client": client,
        "client_url": reverse(f"{site}:apikeys_client_change", args=[client.pk]),
        "list_url": reverse(f"{site}:apikeys_client_changelist"),
        "secret_url": _secret_url(admin, client),
        "may_view": admin.has_view_permission(request),
        **context,
    }


def _secret_url(admin: ClientAdmin, client: Client) -> str:
    return reverse(f"{admin.admin_site.name}:apikeys_client_secret", args=[client.pk])


def _seen(link: ClientApplication) -> str:
    return "" if link.secret_set_at is None else link.secret_set_at.isoformat()
