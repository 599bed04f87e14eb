"""Fills in how the clients of the story sign in with OAuth, and the one consent that somebody has given."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from oauth2_provider.models import get_application_model, get_device_grant_model

from apikeys.models import EventKind, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.oauth.models import ClientApplication, Consent

from . import story

_DAY = timedelta(days=1)
_REGISTERED_BEFORE = 205 * _DAY
_CONSENTED_BEFORE = 20 * _DAY
_Application = get_application_model()


def register(app: story.App, *, by: Any, now: datetime) -> None:
    """Let the client of *app* sign in. Its secret is thrown away: who starts the program makes one."""
    client = story.client_of(app)
    link = ClientApplication.objects.filter(client=client).select_related("application").first()
    if link is None:
        link = applications.create(
            client,
            sign_in=app.sign_in,
            is_public=not app.keeps_a_secret,
            redirect_uris=app.redirect_uris,
            skips_consent=app.skips_consent,
            minimum_scopes=[scope for scope in app.scopes if scope not in app.optional_scopes],
            optional_scopes=app.optional_scopes,
            publisher=app.publisher,
            website=app.website,
            privacy_policy=app.privacy_policy,
            by=by,
            source="admin",
        ).link
        at = now - _REGISTERED_BEFORE
        KeyEvent.objects.filter(client=client, kind=EventKind.SIGN_IN_CHANGED).update(at=at)
        if link.secret_set_at is not None:
            ClientApplication.objects.filter(pk=link.pk).update(secret_set_at=at)
    elif app.redirect_uris and link.application.redirect_uris.split() != list(app.redirect_uris):
        # The demonstration was started on another port.
        applications.edit(link, redirect_uris=app.redirect_uris, by=by)


def consent(user: Any, *, now: datetime) -> None:
    """Let *user* have connected the Summariser a while ago."""
    client = story.client_of(story.SUMMARISER)
    given_at = now - _CONSENTED_BEFORE
    given = Consent.objects.filter(user=user, client=client).first()
    if given is None:
        given = consents.give(user, client, scopes=story.SUMMARISER.scopes, source="python", now=now)
        KeyEvent.objects.filter(client=client, kind=EventKind.CONSENT_GIVEN, actor=user).update(at=given_at)
    Consent.objects.filter(pk=given.pk).update(
        since=given_at, given_at=given_at, expires_at=given_at + (given.expires_at - given.given_at)
    )


def clear() -> None:
    """Delete every consent, token, code and application."""
    Consent.objects.all().delete()
    ClientApplication.objects.all().delete()
    get_device_grant_model()._default_manager.all().delete()
    _Application._default_manager.all().delete()
