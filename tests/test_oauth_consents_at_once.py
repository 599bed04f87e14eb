from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_device_grant_model

from apikeys.models import KeyEvent
from apikeys.oauth import consents
from apikeys.oauth.models import Consent
from tests.oauth import browser_of, get_token, make_app, make_person, press
from tests.races import race
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def give(person, app, scope):
    return partial(consents.give, person, app.client, scopes=[scope])


def test_two_first_consents_at_once_are_one_with_both_permissions():
    person, app = make_person(), make_app()

    race(give(person, app, "todo:read"), give(person, app, "todo:write"))

    assert sorted(Consent.objects.get().scopes) == ["todo:read", "todo:write"]
    assert KeyEvent.objects.filter(kind="consent_given").count() == 2


def test_two_withdrawals_at_once_are_one():
    person, app = make_person(), make_app()
    consents.give(person, app.client, scopes=["todo:read"])
    withdraw = partial(consents.withdraw, person, app.client, by=person)

    results = race(withdraw, withdraw)

    assert sorted(map(bool, results)) == [False, True]
    assert KeyEvent.objects.filter(kind="consent_withdrawn").count() == 1


def test_consent_and_withdrawal_at_once_leave_no_token_without_consent():
    person, app = make_person(), make_app()
    get_token(app, person)

    race(give(person, app, "todo:write"), partial(consents.withdraw, person, app.client, by=person))

    # Whichever came first, the old token is dead, and what was withdrawn is not in a later consent.
    assert not get_access_token_model().objects.exists()
    assert [consent.scopes for consent in Consent.objects.all()] in ([], [["todo:write"]])


def test_two_answers_to_one_device_at_once_are_one():
    person = make_person()
    app = make_app("urn:ietf:params:oauth:grant-type:device_code", is_public=True)
    grants = get_device_grant_model()
    grant = grants.objects.create(
        user=person,
        client_id=app.client_id,
        device_code="digest",
        user_code="BDFHKLMN",
        scope="todo:read",
        expires=timezone.now() + timedelta(minutes=5),
    )
    answer = partial(press, browser_of(person), f"/o/device-confirm/{grant.pk}/")

    responses = at_once(*(partial(answer, {"allow": allow}) for allow in ("yes", "no")))

    grant.refresh_from_db()
    assert sorted(response.status_code for response in responses) == [303, 400]
    assert Consent.objects.exists() is (grant.status == grants.AUTHORIZED)
