"""The page that issues a key, and what its script asks while it is filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import keys, policy
from ..core import errors
from ..forms.issue import IssueKeyForm, prefill_from_address
from ..issuance import IssuedKey, NewSecret, new_secret
from ..models import APIKey, Client
from . import pages
from .reveal import RevealResponse

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin

#: What a field suggests at most.
_SUGGESTIONS = 10


def issue_page(admin: APIKeyAdmin, request: HttpRequest) -> HttpResponse:
    """Return the form, or the reveal of the key that it asked for."""
    if not admin.has_add_permission(request):
        raise PermissionDenied
    now = timezone.now()
    if request.method != "POST":
        return _form_page(
            admin, request, IssueKeyForm(by=request.user, now=now, prefill=prefill_from_address(request.GET))
        )
    form = IssueKeyForm(request.POST, by=request.user, now=now)
    return _answer(admin, request, form) or _form_page(admin, request, form)


def suggest_clients(admin: APIKeyAdmin, request: HttpRequest) -> JsonResponse:
    """Return the names of the first clients that start with ``q``."""
    if not admin.has_add_permission(request):
        raise PermissionDenied
    text = request.POST.get("q", "")
    found = Client.objects.filter(name__istartswith=text, is_active=True).order_by("name")
    return JsonResponse({"results": list(found.values_list("name", flat=True)[:_SUGGESTIONS])})


def suggest_people(admin: APIKeyAdmin, request: HttpRequest) -> JsonResponse:
    """Return the first user names that start with ``q``."""
    if not request.user.has_perm("apikeys.issue_apikey_for_others"):
        raise PermissionDenied
    users = get_user_model()
    name = users.USERNAME_FIELD
    found = users._default_manager.filter(**{f"{name}__istartswith": request.POST.get("q", "")})
    # A user model may go without the column: then nobody is disabled.
    if any(field.name == "is_active" for field in users._meta.get_fields()):
        found = found.filter(is_active=True)
    return JsonResponse({"results": list(found.order_by(name).values_list(name, flat=True)[:_SUGGESTIONS])})


def same_as(admin: APIKeyAdmin, request: HttpRequest) -> JsonResponse:
    """Return the permissions of the key whose id, mask or exact name is ``key``; none where no one key is meant."""
    if not (admin.has_add_permission(request) and admin.has_view_permission(request)):
        raise PermissionDenied
    text = request.POST.get("key", "").strip()
    # A mask is the start of a key id, which stands alone in a pasted one.
    key_id = text.rpartition("_")[2].rstrip("…")
    found = APIKey.objects.filter(Q(name=text) | Q(key_id__startswith=key_id)) if key_id else APIKey.objects.none()
    scopes = {tuple(key.scopes) for key in found[:_SUGGESTIONS]}
    return JsonResponse({"scopes": list(scopes.pop()) if len(scopes) == 1 else None})


def describe(admin: APIKeyAdmin, request: HttpRequest) -> JsonResponse:
    """Return why what can't be chosen, by the ids of the picker, and what the key would be able to do."""
    if not admin.has_add_permission(request):
        raise PermissionDenied
    form = IssueKeyForm(by=request.user, now=timezone.now(), prefill=prefill_from_address(request.POST))
    options = [option for resource in form.permission_groups() for option in (*resource.radios, *resource.boxes)]
    return JsonResponse(
        {"reasons": {option.id: option.reason for option in options if option.reason}, "summary": form.summary()}
    )


@sensitive_variables("issued", "secret")
def _answer(admin: APIKeyAdmin, request: HttpRequest, form: IssueKeyForm) -> HttpResponse | None:
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
                issued = _issue(request, form, secret=secret)
                admin.log_addition(request, issued.key, [{"added": {}}])
            return RevealResponse(admin, request, issued)
    except errors.NotPermittedError as error:
        raise PermissionDenied from error
    except errors.APIKeysError as error:
        # The same form twice at once: the one that waited finds the name taken, by its own key.
        if (answer := pages.repeated(admin, request, form_id)) is not None:
            return answer
        form.refuse(error)
        if isinstance(error, errors.DuplicateNameError):
            _offer_links(admin, request, form, error)
    form.show_again()
    return None


@sensitive_variables("issued", "secret")
def _issue(request: HttpRequest, form: IssueKeyForm, *, secret: NewSecret) -> IssuedKey:
    cleaned = form.cleaned_data
    return keys.issue(
        cleaned["client"],
        name=cleaned["name"],
        scopes=cleaned["scopes"],
        owner=cleaned["owner"],
        lifetime=form.lifetime(client=cleaned["client"]),
        allowed_networks=cleaned["allowed_networks"],
        rates=cleaned["rates"],
        quotas=cleaned["quotas"],
        note=cleaned["note"],
        by=request.user,
        source="admin",
        form_id=cleaned["form_id"],
        secret=secret,
    )


def _offer_links(
    admin: APIKeyAdmin, request: HttpRequest, form: IssueKeyForm, error: errors.DuplicateNameError
) -> None:
    key = error.key
    assert isinstance(key, APIKey)  # noqa: S101  # the core's errors can't name a model's type
    links = [pages.link(pages.key_url(admin, key), _("View the key"))]
    if policy.may_rotate(request.user, key):
        links.append(pages.link(pages.key_url(admin, key, "rotate"), _("Rotate it")))
    for item in links:
        form.add_error("name", item)


def _form_page(admin: APIKeyAdmin, request: HttpRequest, form: IssueKeyForm) -> HttpResponse:
    return pages.page(
        admin,
        request,
        "issue.html",
        title=_("Issue an API key"),
        form=form,
        clients_url=pages.list_url(admin, "clients"),
        describe_url=pages.list_url(admin, "describe"),
        same_as_url=pages.list_url(admin, "same_as") if admin.has_view_permission(request) else "",
        people_url=pages.list_url(admin, "people") if form.may_choose_owner else "",
    )
