"""The pages on which a person lets a device in (RFC 8628 section 3.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from oauth2_provider.models import AbstractApplication, get_device_grant_model

from ...core.errors import APIKeysError
from ...limits import attempts
from .. import consents, refused, rows
from ..forms import UserCodeForm
from ..models import ClientApplication, Consent
from ..scopes import minimum
from . import pages
from .asking import Question

#: Of one person in a minute, right or wrong: against 20 to the power of 8 codes (RFC 8628 section 5.1).
CODES_PER_MINUTE = 10


class GrantGoneError(Exception):
    """The device's request ran out, or was answered elsewhere, while the person was reading."""


class DeviceCodeView(pages.PersonPage):
    """Take the code that the device shows. From then on, only this person can answer for the device."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return _code_page(request, UserCodeForm(initial={"user_code": request.GET.get("user_code", "")[:20]}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = UserCodeForm(request.POST)
        if not form.is_valid():
            return _code_page(request, form, status=400)
        if attempts.count(f"apikeys-device:{request.user.pk}") > CODES_PER_MINUTE:
            text = ngettext(
                "You may enter %(count)d code a minute. Wait a minute, then try again.",
                "You may enter %(count)d codes a minute. Wait a minute, then try again.",
                CODES_PER_MINUTE,
            )
            form.add_error(None, text % {"count": CODES_PER_MINUTE})
            refused.record_user_code("too_many_user_codes", request=request)
            response = _code_page(request, form, status=429)
            response["Retry-After"] = str(attempts.MINUTE_SECONDS)
            return response
        grant = _claimed(form.cleaned_data["user_code"], user=request.user, now=timezone.now())
        if grant is None:
            # One answer for unknown, expired, answered and somebody else's.
            text = _("This code is not known, or it has run out. Let the device show a new one.")
            form.add_error("user_code", text)
            refused.record_user_code("unknown_user_code", request=request)
            return _code_page(request, form, status=400)
        return pages.see_other(reverse("oauth2_provider:device-confirm", args=[grant.pk]))


class DeviceConsentView(pages.PersonPage):
    """Ask what the device's app may do, and let it in or turn it away. A GET does neither."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        except GrantGoneError:
            return pages.page(request, "broken.html", title=_("This link is broken"), status=400, code="expired_link")

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        question = _question(pk, user=request.user, now=timezone.now())
        return question.page(request, question.form(), action=request.path)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        now = timezone.now()
        question = _question(pk, user=request.user, now=now)
        form = question.form(request.POST)
        if not form.is_valid():
            return question.page(request, form, action=request.path, status=400)
        if not form.is_allowed():
            _answer(pk, user=request.user, now=now, status=get_device_grant_model().DENIED)
            return pages.see_other(reverse("oauth2_provider:device-done", args=["refused"]))
        _let_in(pk, question, scopes=form.granted(), now=now)
        return pages.see_other(reverse("oauth2_provider:device-done", args=["allowed"]))


class DeviceDoneView(pages.PersonPage):
    """Say that the device goes on, or that it does not."""

    def get(self, request: HttpRequest, outcome: str) -> HttpResponse:
        if outcome == "allowed":
            title, text = _("Done"), _("You can go back to your device. It goes on by itself in a few seconds.")
        elif outcome == "refused":
            title, text = _("Nothing was shared"), _("The device was turned away.")
        else:
            raise Http404
        return pages.page(request, "device_done.html", title=title, text=text)


def put_back(user: Any, pk: str) -> None:
    """
    Let somebody else enter the code that *user* entered, of the request *pk* as a form names it.

    Nothing happens where *user* is not who entered it, or it has been answered.
    """
    try:
        entered = _waiting(now=timezone.now()).filter(pk=pk, user_id=user.pk)
    except ValueError:
        return
    entered.update(user=None)


def _code_page(request: HttpRequest, form: UserCodeForm, *, status: int = 200) -> HttpResponse:
    return pages.page(request, "device_code.html", title=_("Connect a device"), status=status, form=form)


def _waiting(*, now: datetime) -> Any:
    return rows.device_grants().filter(status=get_device_grant_model().AUTHORIZATION_PENDING, expires__gt=now)


def _claimed(user_code: str, *, user: Any, now: datetime) -> Any:
    """Return the waiting grant with *user_code*, now *user*'s; None where there is none that can be."""
    free = Q(user=None) | Q(user_id=user.pk)
    found = list(_waiting(now=now).filter(free, user_code=user_code)[:2])
    # Two devices that show one code: nobody can tell whose it is.
    if len(found) != 1 or _device_app(found[0].client_id) is None:
        return None
    changed = _waiting(now=now).filter(free, pk=found[0].pk).update(user_id=user.pk)
    return found[0] if changed else None


def _question(pk: int, *, user: Any, now: datetime) -> Question:
    """
    Return what the device asks of *user*, of what its client may still hold.

    Raises:
        Http404: If it asks somebody else.
        GrantGoneError: If it asks no longer.
    """
    grant = rows.device_grants().filter(pk=pk, user_id=user.pk).first()
    if grant is None:
        raise Http404
    link = _device_app(grant.client_id)
    scopes = [] if link is None else minimum(link.client, names=grant.scope.split())
    if link is None or not scopes or now >= grant.expires or grant.status != grant.AUTHORIZATION_PENDING:
        raise GrantGoneError
    consent = consents.live(user, link.client, now=now)
    return Question(link=link, user=user, scopes=scopes, consent=consent, device=str(grant.pk))


def _let_in(pk: int, question: Question, *, scopes: list[str], now: datetime) -> None:
    """
    Store what the person allows together with the answer to the device.

    Raises:
        GrantGoneError: If the device waits no longer, or its client may no longer hold *scopes*.
    """
    try:
        with transaction.atomic(using=router.db_for_write(Consent)):
            consents.give(question.user, question.link.client, scopes=scopes, now=now)
            authorized = get_device_grant_model().AUTHORIZED
            _answer(pk, user=question.user, now=now, status=authorized, scope=" ".join(scopes))
    except APIKeysError as error:
        raise GrantGoneError from error


def _answer(pk: int, *, user: Any, now: datetime, **fields: str) -> None:
    # Once: of two answers, the first counts.
    if not _waiting(now=now).filter(pk=pk, user_id=user.pk).update(**fields):
        raise GrantGoneError


def _device_app(client_id: str) -> ClientApplication | None:
    return (
        rows.links()
        .select_related("application")
        .filter(
            application__client_id=client_id,
            application__authorization_grant_type=AbstractApplication.GRANT_DEVICE_CODE,
            client__is_active=True,
        )
        .first()
    )
