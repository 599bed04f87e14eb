"""Access tokens for a project's own tests, without a browser."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.models import get_access_token_model, set_token_value

from .. import clients
from ..core.scopes import as_names
from ..models import Client
from ..registry import unreserved_scopes
from ..testing.making import FOR_A_PERSON, make_person
from . import applications, consents
from .models import ClientApplication
from .scopes import available
from .sign_in import AUTHORIZATION_CODE, CLIENT_CREDENTIALS

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class MadeToken:
    """An access token, whose client it is and whom it acts for."""

    plaintext: str = field(repr=False)
    client: Client
    #: None for a token that acts for nobody.
    user: Any


def make_token(
    *,
    scopes: str | Sequence[str] = (),
    client: Client | None = None,
    user: Any = FOR_A_PERSON,
    lifetime: timedelta = timedelta(minutes=15),
) -> MadeToken:
    """
    Return a new access token that holds *scopes*; without them, all that its client may hold but ``apikeys:…``.

    Without *client* it makes one that may hold every declared scope but ``apikeys:…``, without *user* a person. The
    person consents to *scopes*. *user* None makes a token of client credentials. A client that does not sign in with
    OAuth yet does so from now on.
    """
    if client is None:
        client = clients.create(name=f"App {next(_numbers)}", allowed_scopes=unreserved_scopes())
    if user is FOR_A_PERSON:
        user = make_person()
    names = list(as_names(scopes)) or available(client)
    link = ClientApplication.objects.filter(client=client).select_related("application").first()
    if link is None:
        link = _signed_up(client, acts_for_people=user is not None)
    if user is not None:
        consents.give(user, client, scopes=names, source="python")
    plaintext = generate_client_secret()
    token = get_access_token_model()(
        user=user, application=link.application, scope=" ".join(names), expires=timezone.now() + lifetime
    )
    set_token_value(token, plaintext)
    token.save()
    return MadeToken(plaintext=plaintext, client=client, user=user)


def _signed_up(client: Client, *, acts_for_people: bool) -> ClientApplication:
    if acts_for_people:
        address = "https://app.example/callback"
        return applications.create(client, sign_in=AUTHORIZATION_CODE, redirect_uris=[address]).link
    return applications.create(client, sign_in=CLIENT_CREDENTIALS).link
