"""Two people who change how one client signs in, at the same time."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth.hashers import check_password
from oauth2_provider.models import get_application_model

from apikeys.core import errors
from apikeys.models import Client, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.oauth.models import ClientApplication, Consent
from tests.admin_pages import CLIENTS
from tests.factories import ClientFactory, PersonFactory
from tests.oauth import CALLBACK, get_token, issued, make_app, make_person
from tests.oauth_clients import sign_in_fields
from tests.races import of_type, race

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

#: Each race is run often enough that both orders are seen.
ROUNDS = 6
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_two_creations_at_once_give_one_application():
    for _ in range(ROUNDS):
        app = ClientFactory()
        create = partial(applications.create, sign_in="authorization-code", redirect_uris=[CALLBACK])

        results = race(*(partial(create, Client.objects.get(pk=app.pk)) for _ in range(2)))

        (new,) = of_type(results, applications.NewApplication)
        assert len(of_type(results, errors.SignInExistsError)) == 1
        assert check_password(new.secret, get_application_model().objects.get(client_id=app.client_id).client_secret)
        assert KeyEvent.objects.filter(client=app, kind="sign_in_changed").count() == 1


def test_two_replacements_at_once_give_one_secret():
    for _ in range(ROUNDS):
        link = make_app().link

        results = race(
            *(partial(applications.replace_secret, ClientApplication.objects.get(pk=link.pk)) for _ in range(2))
        )

        (secret,) = of_type(results, str)
        assert len(of_type(results, errors.SecretReplacedError)) == 1
        assert check_password(secret, get_application_model().objects.get(pk=link.application.pk).client_secret)


def test_two_edits_at_once_lose_neither():
    for _ in range(ROUNDS):
        link = make_app().link

        race(
            partial(applications.edit, ClientApplication.objects.get(pk=link.pk), publisher="Hooli Labs"),
            partial(applications.edit, ClientApplication.objects.get(pk=link.pk), is_verified=True),
        )

        link.refresh_from_db()
        assert (link.publisher, link.is_verified) == ("Hooli Labs", True)


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_another_sign_in_during_a_withdrawal_leaves_no_token(change):
    for turn in range(ROUNDS):
        app, richard = make_app(), make_person()
        get_token(app, richard)
        link = ClientApplication.objects.get(pk=app.link.pk)
        calls = [
            partial(applications.edit, link, sign_in=DEVICE, redirect_uris=[])
            if change == "edit"
            else partial(applications.remove, link),
            partial(consents.withdraw, richard, app.client),
        ]

        results = race(*(calls if turn % 2 else reversed(calls)))

        assert of_type(results, errors.APIKeysError) == []
        assert issued() == (0, 0, 0)
        assert not Consent.objects.exists()


def test_saving_the_page_during_a_withdrawal_leaves_no_token(client):
    client.force_login(PersonFactory(is_superuser=True))
    for turn in range(ROUNDS):
        app, richard = make_app(), make_person()
        get_token(app, richard)
        fields = sign_in_fields(name=app.client.name, sign_in=DEVICE, redirect_uris="")
        calls = [
            partial(client.post, f"{CLIENTS}{app.client.pk}/change/", fields),
            partial(consents.withdraw, richard, app.client),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        assert get_application_model().objects.get(client_id=app.client_id).authorization_grant_type == DEVICE
        assert issued() == (0, 0, 0)
