"""What all pages about keys have in common: addresses, context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.sites import AdminSite
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import policy
from ..core import errors
from ..models import APIKey, Client
from ..page_headers import protect

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin

M = TypeVar("M", bound=Model)


def shown(request: HttpRequest, admin_site: AdminSite, model: type[M]) -> QuerySet[M]:
    """Return what *admin_site* shows of *model*: a project may show each person some only, by ``get_queryset``."""
    try:
        return admin_site.get_model_admin(model).get_queryset(request)
    except NotRegistered:
        return model._default_manager.all()


def key_url(admin: APIKeyAdmin, key: APIKey, page: str = "change") -> str:
    """Return the address of *key*'s *page*: ``change``, ``rotate``, ``limits`` and so on."""
    return reverse(f"{admin.admin_site.name}:apikeys_apikey_{page}", args=[key.pk])


def list_url(admin: APIKeyAdmin, page: str = "changelist") -> str:
    """Return the address of the list, or of another page that is about no key in particular."""
    return reverse(f"{admin.admin_site.name}:apikeys_apikey_{page}")


def way_back(admin: APIKeyAdmin, request: HttpRequest) -> str:
    """Return the address of the list, or of the index for those who may not see it."""
    return list_url(admin) if admin.has_view_permission(request) else reverse(f"{admin.admin_site.name}:index")


def revoke_all_url(
    site_name: str, user: Any, client: Client, *, besides: APIKey | None = None, reason: str = ""
) -> str:
    """Return the address of the page that revokes all keys of *client*; empty where none works *besides* one."""
    if not policy.may_revoke(user):
        return ""
    others = APIKey.objects.working().filter(client=client)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    if not others.exists():
        return ""
    query = {"client": client.pk, **({"reason": reason} if reason else {})}
    return f"{reverse(f'{site_name}:apikeys_apikey_revoke_many')}?{urlencode(query)}"


def page(
    admin: APIKeyAdmin,
    request: HttpRequest,
    template: str,
    *,
    title: str,
    key: APIKey | None = None,
    status: int = 200,
    **context: Any,
) -> TemplateResponse:
    """Return the page that *template* shows."""
    request.current_app = admin.admin_site.name
    response = TemplateResponse(
        request, template_path(template), page_context(admin, request, title=title, key=key, **context), status=status
    )
    protect(response)
    return response


def template_path(template: str) -> str:
    """Return the path of one of our templates."""
    return f"admin/apikeys/apikey/{template}"


def page_context(
    admin: APIKeyAdmin, request: HttpRequest, *, title: str, key: APIKey | None = None, **context: Any
) -> dict[str, Any]:
    """Return what every page's template needs, and *context*."""
    return {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": title,
        "key": key,
        "list_url": list_url(admin),
        "key_url": key and key_url(admin, key),
        "may_view": admin.has_view_permission(request),
        **context,
    }


def repeated(admin: APIKeyAdmin, request: HttpRequest, form_id: UUID | None) -> TemplateResponse | None:
    """Return the 409 page if the form with *form_id* made a key already."""
    try:
        policy.refuse_repeated_form(form_id)
    except errors.AlreadyIssuedError as error:
        return already_made(admin, request, error)
    return None


def already_made(admin: APIKeyAdmin, request: HttpRequest, error: errors.AlreadyIssuedError) -> TemplateResponse:
    """Return the 409 page for a form that was sent twice."""
    key = error.key
    assert isinstance(key, APIKey)  # noqa: S101  # the core's errors can't name a model's type
    text = _(
        "“%(name)s” was already issued. You reloaded the page, so nothing new was created, and its secret cannot be "
        "shown a second time. If you did not copy it, rotate the key."
    )
    return conflict(admin, request, key=key, text=text % {"name": key.name}, title=_("Nothing new was created"))


def conflict(
    admin: APIKeyAdmin, request: HttpRequest, *, key: APIKey, text: str, title: str, status: int = 409
) -> TemplateResponse:
    """Return the page that says why nothing was done, with the ways on that *key* has."""
    return page(
        admin,
        request,
        "conflict.html",
        title=title,
        key=key,
        status=status,
        text=text,
        rotate_url=key_url(admin, key, "rotate") if policy.may_rotate(request.user, key) else "",
    )


def link(url: str, text: str) -> SafeString:
    """Return a link."""
    return format_html('<a href="{}">{}</a>', url, text)
