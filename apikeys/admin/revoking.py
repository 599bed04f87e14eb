"""The page that stops a key for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import keys, policy
from ..core import errors
from ..forms.revoke import REASONS, RevokeKeyForm
from ..models import APIKey, RevocationReason
from ..status import revoked_message, takes_effect
from . import facts, pages

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin


def revoke_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form, or the way to the key's page once it is revoked."""
    if not policy.may_revoke(request.user):
        raise PermissionDenied
    now = timezone.now()
    if key.is_revoked():
        text = _("Already revoked on %(date)s.") % {"date": policy.long_date(key.revocation.at)}
        return _already_revoked(admin, request, key, text)
    if request.method != "POST":
        reason = request.GET.get("reason", "")
        form = RevokeKeyForm(key=key, now=now, reason=reason if reason in REASONS else "")
        return _form_page(admin, request, key, form)
    form = RevokeKeyForm(request.POST, key=key, now=now)
    if form.is_valid():
        try:
            stopped = _revoke(admin, request, key, form)
        except errors.AlreadyRevokedError as error:
            return _already_revoked(admin, request, key, str(error))
        for one in stopped:
            text = _("“%(name)s” is revoked. Requests with it now get 401.")
            name = one.name if one.pk == key.pk else str(one)
            messages.success(request, revoked_message(text % {"name": name}))
        return HttpResponseRedirect(pages.key_url(admin, key))
    form.show_again()
    return _form_page(admin, request, key, form)


def _revoke(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, form: RevokeKeyForm) -> list[APIKey]:
    with transaction.atomic(using=router.db_for_write(APIKey)):
        stopped = keys.revoke(
            key,
            reason=form.cleaned_data["reason"],
            note=form.cleaned_data["note"],
            by=request.user,
            source="admin",
        )
        for one in stopped:
            admin.log_change(request, one, _("Revoked."))
    return stopped


def _already_revoked(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, text: str) -> HttpResponse:
    title = _("“%(name)s” is revoked") % {"name": key.name}
    status = 409 if request.method == "POST" else 200
    return pages.page(admin, request, "conflict.html", title=title, key=key, status=status, text=text)


def _form_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, form: RevokeKeyForm) -> HttpResponse:
    now = timezone.now()
    may_rotate_instead = (
        form.needs_confirmation
        and form.replacement is None
        and key.is_working(now=now)
        and policy.may_rotate(request.user, key)
    )
    return pages.page(
        admin,
        request,
        "revoke.html",
        title=_("Revoke “%(name)s”?") % {"name": key.name},
        key=key,
        form=form,
        use=facts.of_use(key, now=now),
        takes_effect=takes_effect(),
        replacement=form.replacement,
        rotate_url=pages.key_url(admin, key, "rotate") if may_rotate_instead else "",
        revoke_all_url=pages.revoke_all_url(
            admin.admin_site.name, request.user, key.client, besides=key, reason=RevocationReason.LEAKED.value
        ),
    )
