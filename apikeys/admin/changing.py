"""The pages that change a key a little: its name and note, its permissions, its limits, its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from .. import keys, policy
from ..conf import settings
from ..core import errors
from ..forms.change import EditKeyForm, NarrowKeyForm
from ..forms.claims import ClaimsForm
from ..forms.limits import LimitsForm
from ..models import APIKey
from . import pages

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin


def edit_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form for another name and note, or the way back."""
    if not policy.may_edit(request.user):
        raise PermissionDenied
    form = EditKeyForm(request.POST if request.method == "POST" else None, key=key)
    if form.is_valid():
        try:
            keys.edit(
                key, name=form.cleaned_data["name"], note=form.cleaned_data["note"], by=request.user, source="admin"
            )
        except errors.ChangeRefusedError as error:
            form.refuse(error)
        else:
            return _changed(admin, request, key, _("Changed name or note."))
    if form.is_bound:
        form.show_again()
    title = _("Edit “%(name)s”") % {"name": key.name}
    return pages.page(admin, request, "edit.html", title=title, key=key, form=form)


def narrow_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form that takes permissions away, or the way back."""
    if not policy.may_edit(request.user):
        raise PermissionDenied
    form = NarrowKeyForm(request.POST if request.method == "POST" else None, key=key)
    if form.is_valid():
        try:
            keys.narrow(key, scopes=form.cleaned_data["scopes"], by=request.user, source="admin")
        except errors.ScopeError as error:
            form.add_error("scopes", str(error))
        else:
            return _changed(admin, request, key, _("Narrowed permissions."))
    if form.is_bound:
        form.show_again()
    title = _("Narrow the permissions of “%(name)s”") % {"name": key.name}
    return pages.page(admin, request, "narrow.html", title=title, key=key, form=form)


def limits_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form for what the key and its replacements may use, or the way back."""
    if not policy.may_edit(request.user):
        raise PermissionDenied
    form = LimitsForm(request.POST if request.method == "POST" else None, key=key)
    if form.is_valid():
        keys.set_limits(
            key, rates=form.cleaned_data["rates"], quotas=form.cleaned_data["quotas"], by=request.user, source="admin"
        )
        return _changed(admin, request, key, _("Changed limits."))
    if form.is_bound:
        form.show_again()
    return pages.page(
        admin,
        request,
        "limits.html",
        title=_("Limits of “%(name)s”") % {"name": key.name},
        key=key,
        form=form,
        of_site=[*settings.RATES, *settings.QUOTAS],
        of_client=[*key.client.rates, *key.client.quotas],
    )


def claims_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form for what the key and its replacements say besides permissions, or the way back."""
    if not policy.may_set_claims(request.user):
        raise PermissionDenied
    form = ClaimsForm(request.POST if request.method == "POST" else None, key=key)
    if form.is_valid():
        keys.set_claims(key, claims=form.claims, by=request.user, source="admin")
        return _changed(admin, request, key, _("Changed claims."))
    if form.is_bound:
        form.show_again()
    title = _("Claims of “%(name)s”") % {"name": key.name}
    return pages.page(admin, request, "claims.html", title=title, key=key, form=form)


def _changed(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, text: str) -> HttpResponse:
    admin.log_change(request, key, text)
    messages.success(request, _("“%(name)s” was changed.") % {"name": key.name})
    return HttpResponseRedirect(pages.key_url(admin, key))
