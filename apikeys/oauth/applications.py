"""
How clients sign in with OAuth: the only writer of ``ClientApplication`` and of the toolkit's applications.

Each change leaves its event. A client secret is in what ``create`` and ``replace_secret`` return, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connections, router, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.models import get_application_model
from oauth2_provider.settings import oauth2_settings

from .. import events, policy, signals
from ..core import errors
from ..models import Client, EventKind
from . import consents, ending
from .models import ClientApplication
from .sign_in import CLIENT_CREDENTIALS, SignIn, fitting, may_change, require_may_learn_secret

#: What our row beside the toolkit's application holds.
_OWN_FIELDS = (
    "minimum_scopes",
    "optional_scopes",
    "publisher",
    "website",
    "privacy_policy",
    "is_verified",
    "logo",
)


@dataclass(frozen=True, kw_only=True)
class NewApplication:
    """What was made, with the one copy of its secret."""

    link: ClientApplication
    #: The plaintext; None for an app that keeps no secret.
    secret: str | None = field(default=None, repr=False)


@sensitive_variables("secret", "hashed")
def create(
    client: Client,
    *,
    sign_in: str,
    is_new: bool = False,
    by: Any = None,
    source: str = "python",
    **fields: Any,
) -> NewApplication:
    """
    Let *client* sign in by *sign_in*, one of ``sign_in.SIGN_INS``. *fields* are the others of ``SignIn``.

    Its public id is the client's. *is_new* where *by* has just made the client, for which the right to add one is
    enough.

    Raises:
        SignInExistsError: If it has an application already.
        APIKeysError: For what *by* may not do, and for what ``SignInRefusedError``, ``RedirectRefusedError``,
            ``LogoRefusedError`` and ``ScopeError`` name.
    """
    policy.require(permitted=may_change(by, is_new=is_new))
    secret: str = generate_client_secret()
    # Slow on purpose, so before any lock.
    hashed = _hashed(secret)
    asked = SignIn().changed({"sign_in": sign_in, **fields})
    try:
        with transaction.atomic(using=_database()):
            locked = _locked_client(client)
            wanted = fitting(asked, before=None, kind=locked.kind, ceiling=locked.allowed_scopes, by=by)
            application = get_application_model()(client_id=locked.client_id, client_secret=hashed, name="")
            link = ClientApplication(client=locked, secret_set_at=None if wanted.is_public else timezone.now())
            _write(wanted, link=link, application=application)
            details = {"sign_in": wanted.sign_in, "changed": ["sign_in"]}
            _record(EventKind.SIGN_IN_CHANGED, locked, by=by, source=source, details=details)
    except IntegrityError as error:
        # No look before the leap: the unique columns decide, also between two at once.
        if not ClientApplication.objects.using(_database()).filter(client=client).exists():
            raise
        message = _("“%(client)s” signs in with OAuth already. Open it again.") % {"client": client.name}
        raise errors.SignInExistsError(message) from error
    link.client = client
    # What the client's own attribute says was read before.
    client.client_application = link
    return NewApplication(link=link, secret=None if wanted.is_public else secret)


def edit(link: ClientApplication, *, by: Any = None, source: str = "python", **fields: Any) -> list[str]:
    """
    Set *fields*, some of ``SignIn``, and return the names of those that changed; raises as ``create``.

    Another way to sign in, a change of whether it keeps a secret, and asking people from now on end all of its tokens
    and codes. An address that is no longer registered ends the codes that were for it. An app that keeps a secret from
    now on, or calls for itself, has none until ``replace_secret`` makes one.
    """
    policy.require(permitted=may_change(by))
    with transaction.atomic(using=_database()):
        client = _locked_client(link.client)
        locked = _locked_link(link)
        before = SignIn.of(locked)
        asked = before.changed(fields)
        wanted = fitting(asked, before=before, kind=client.kind, ceiling=client.allowed_scopes, by=by)
        changed = before.differences(wanted)
        if not changed:
            return []
        calls_for_itself = "sign_in" in changed and wanted.sign_in == CLIENT_CREDENTIALS
        if "is_public" in changed or calls_for_itself:
            # Known to nobody: what was told when it opened nothing alone may be worth a service key now. Too rare for
            # its slow hash to be made before the lock.
            locked.application.client_secret = _hashed(generate_client_secret())
            locked.secret_set_at = None
        _write(wanted, link=locked, application=locked.application)
        details: dict[str, Any] = {"sign_in": wanted.sign_in, "changed": changed}
        # What was given without asking ends with that: from now on people are asked.
        asks_now = "skips_consent" in changed and not wanted.skips_consent
        if asks_now or {"sign_in", "is_public"} & set(changed):
            details["ended"] = ending.end_all(locked.application)
        elif "redirect_uris" in changed:
            details["ended"] = ending.end_codes_elsewhere(locked.application)
        _record(EventKind.SIGN_IN_CHANGED, client, by=by, source=source, details=details)
    link.refresh_from_db(using=_database())
    return changed


def remove(link: ClientApplication, *, by: Any = None, source: str = "python") -> None:
    """
    Leave the client its keys alone: its tokens and codes end, and what people consented to is withdrawn.

    Raises:
        NotPermittedError: If *by* may not change it, or not revoke.
    """
    policy.require(permitted=may_change(by) and policy.may_revoke(by))
    with transaction.atomic(using=_database()):
        # In the order in which a withdrawal locks: consent, then client.
        for consent in link.client.consents.using(_database()).select_related("user").order_by("user_id"):
            consents.withdraw(consent.user, link.client, by=by, source=source)
        client = _locked_client(link.client)
        locked = ClientApplication.objects.using(_database()).select_for_update().filter(pk=link.pk).first()
        if locked is None:
            return
        details = {"sign_in": "", "changed": ["sign_in"], "ended": ending.end_all(locked.application)}
        locked.delete(using=_database())
        locked.application.delete()
        _record(EventKind.SIGN_IN_CHANGED, client, by=by, source=source, details=details)


@sensitive_variables("secret", "hashed")
def replace_secret(link: ClientApplication, *, by: Any = None, source: str = "python") -> str:
    """
    Return a new client secret. The one before stops at once; tokens go on.

    Raises:
        SecretReplacedError: If it is not the secret that *link* was read with, so that one form makes one secret.
        SignInRefusedError: If the app keeps no secret.
        NotPermittedError: If *by* may not.
    """
    secret: str = generate_client_secret()
    hashed = _hashed(secret)
    with transaction.atomic(using=_database()):
        client = _locked_client(link.client)
        locked = _locked_link(link)
        require_may_learn_secret(SignIn.of(locked), client=client, by=by)
        if locked.secret_set_at != link.secret_set_at:
            raise errors.SecretReplacedError(_("The client secret was replaced since you opened the page."))
        locked.application.client_secret = hashed
        locked.application.save(using=_database(), update_fields=["client_secret", "updated"])
        locked.secret_set_at = _after(locked.secret_set_at)
        locked.save(using=_database(), update_fields=["secret_set_at"])
        _record(EventKind.SECRET_REPLACED, client, by=by, source=source)
    link.secret_set_at = locked.secret_set_at
    link.application = locked.application
    return secret


def _write(wanted: SignIn, *, link: ClientApplication, application: Any) -> None:
    """Store *wanted* in both rows."""
    application.authorization_grant_type = wanted.sign_in
    application.client_type = application.CLIENT_PUBLIC if wanted.is_public else application.CLIENT_CONFIDENTIAL
    application.redirect_uris = " ".join(wanted.redirect_uris)
    application.skip_authorization = wanted.skips_consent
    application.save(using=_database())
    for name in _OWN_FIELDS:
        value = getattr(wanted, name)
        setattr(link, name, list(value) if isinstance(value, tuple) else value)
    link.application = application
    link.save(using=_database())


def _hashed(secret: str) -> str:
    hashed: str = make_password(secret, hasher=oauth2_settings.CLIENT_SECRET_HASHER)
    return hashed


def _after(instant: datetime | None) -> datetime:
    """Return now, in any case later than *instant*: it tells one secret from the next."""
    now = timezone.now()
    return now if instant is None else max(now, instant + timedelta(microseconds=1))


def _record(kind: EventKind, client: Client, *, by: Any, source: str, details: dict[str, Any] | None = None) -> None:
    events.record(kind, client=client, by=by, source=source, details=details, signal=signals.client_changed)


def _locked_client(client: Client) -> Client:
    # As ``clients`` locks it.
    no_key = connections[_database()].features.has_select_for_no_key_update
    return Client.objects.using(_database()).select_for_update(no_key=no_key).get(pk=client.pk)


def _locked_link(link: ClientApplication) -> ClientApplication:
    # The application itself is not locked: each token that is made refers to it.
    rows = ClientApplication.objects.using(_database()).select_for_update(of=_self_only())
    return rows.select_related("application").get(pk=link.pk)


def _self_only() -> tuple[str, ...]:
    return ("self",) if connections[_database()].features.has_select_for_update_of else ()


def _database() -> str:
    return router.db_for_write(ClientApplication)
