"""The page that makes the replacement of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import keys, policy
from ..core import errors
from ..forms.change import RotateKeyForm, is_in_use
from ..issuance import IssuedKey, NewSecret, new_secret
from ..models import APIKey
from ..status import relative
from . import facts, pages
from .reveal import RevealResponse

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin


def rotate_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse:
    """Return the form, or the reveal of the replacement that it asked for."""
    if not policy.may_rotate(request.user, key):
        raise PermissionDenied
    now = timezone.now()
    form = RotateKeyForm(request.POST if request.method == "POST" else None, key=key, now=now)
    if form.is_bound and (answer := _answer(admin, request, key, form)) is not None:
        return answer
    return _refusal(admin, request, key) or _form_page(admin, request, key, form)


@sensitive_variables("issued", "secret")
def _answer(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, form: RotateKeyForm) -> HttpResponse | None:
    """Return what came of *form*; None to show it again with its faults."""
    valid = form.is_valid()
    form_id = form.cleaned_data.get("form_id")
    # First of all: what this form made already is what it must say, whatever else changed since.
    if (answer := pages.repeated(admin, request, form_id)) is not None:
        return answer
    try:
        if valid:
            secret = new_secret()
            with transaction.atomic(using=router.db_for_write(APIKey)):
                issued = _rotate(request, key, form, secret=secret)
                admin.log_change(request, key, _("Rotated."))
                admin.log_addition(request, issued.key, [{"added": {}}])
            return RevealResponse(admin, request, issued)
    except errors.AlreadyIssuedError as error:
        return pages.already_made(admin, request, error)
    except errors.AlreadyRotatedError as error:
        # The same form twice at once: the one that waited finds the replacement that the other made.
        repeated = pages.repeated(admin, request, form_id)
        return repeated or _replaced(admin, request, error, status=409)
    except errors.KeyNotWorkingError as error:
        return _not_working(admin, request, key, str(error), status=409)
    except errors.NotPermittedError as error:
        raise PermissionDenied from error
    except errors.APIKeysError as error:
        form.refuse(error)
    form.show_again()
    return None


def reissue_url(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> str:
    """Return the address of the issue page filled in as *key* was; empty for somebody who may not issue."""
    if not admin.has_add_permission(request):
        return ""
    fields = [
        ("name", key.name),
        ("client", key.client.name),
        *(("scope", name) for name in key.scopes),
        *(("rate", text) for text in key.rates),
        *(("quota", text) for text in key.quotas),
    ]
    if key.owner is not None:
        fields.append(("owner", key.owner.get_username()))
    return f"{pages.list_url(admin, 'add')}?{urlencode(fields)}"


@sensitive_variables("issued", "secret")
def _rotate(request: HttpRequest, key: APIKey, form: RotateKeyForm, *, secret: NewSecret) -> IssuedKey:
    return keys.rotate(
        key,
        overlap=form.chosen_overlap(),
        lifetime=form.lifetime(client=key.client),
        by=request.user,
        source="admin",
        form_id=form.cleaned_data["form_id"],
        secret=secret,
    )


def _refusal(admin: APIKeyAdmin, request: HttpRequest, key: APIKey) -> HttpResponse | None:
    try:
        policy.refuse_replaced(key)
    except errors.AlreadyRotatedError as error:
        return _replaced(admin, request, error, status=200)
    if not key.is_working(now=timezone.now()):
        text = _("This key no longer works, so there is nothing to overlap.")
        return _not_working(admin, request, key, text, status=200)
    return None


def _replaced(
    admin: APIKeyAdmin, request: HttpRequest, error: errors.AlreadyRotatedError, *, status: int
) -> HttpResponse:
    replacement = error.replacement
    assert isinstance(replacement, APIKey)  # noqa: S101  # the core's errors can't name a model's type
    title = _("“%(name)s” was rotated already") % {"name": replacement.name}
    return pages.conflict(admin, request, key=replacement, text=str(error), title=title, status=status)


def _not_working(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, text: str, *, status: int) -> HttpResponse:
    return pages.page(
        admin,
        request,
        "conflict.html",
        title=_("“%(name)s” can't be rotated") % {"name": key.name},
        key=key,
        status=status,
        text=text,
        reissue_url=reissue_url(admin, request, key),
    )


def _form_page(admin: APIKeyAdmin, request: HttpRequest, key: APIKey, form: RotateKeyForm) -> HttpResponse:
    now = form.now
    expires_first = key.expires_at is not None and key.expires_at - now < form.longest_overlap
    return pages.page(
        admin,
        request,
        "rotate.html",
        title=_("Rotate “%(name)s”") % {"name": key.name},
        key=key,
        form=form,
        use=facts.of_use(key, now=now),
        is_in_use=is_in_use(key, now=now),
        expires_anyway=relative(key.expires_at, now=now) if expires_first and key.expires_at else "",
    )
