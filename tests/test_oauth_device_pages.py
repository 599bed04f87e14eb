from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from oauth2_provider.models import get_device_grant_model

from apikeys import clients
from apikeys.models import EventKind, KeyEvent
from apikeys.oauth import consents
from tests.oauth import browser_of, make_app, make_person, poll_device, refusals, start_device
from tests.oauth import press as fill_in
from tests.oauth_pages import text_of

pytestmark = pytest.mark.django_db

DEVICE = "/o/device/"
SWITCH = "/o/switch-account/"
UNKNOWN = "This code is not known, or it has run out. Let the device show a new one."
Grant = get_device_grant_model()


def somebody(name):
    """Return a person of whom no earlier test has counted codes: a rolled back one leaves its number to the next."""
    return get_user_model().objects.create_user(name, pk=secrets.randbelow(2**30))


@pytest.fixture
def richard():
    return somebody("Richard")


@pytest.fixture
def watch():
    return make_app("urn:ietf:params:oauth:grant-type:device_code", name="Apple Watch app", is_public=True)


@pytest.fixture
def started(watch):
    return start_device(watch).json()


def enter(person, code):
    return browser_of(person).post(DEVICE, {"user_code": code}, secure=True)


def confirm_url(person, started):
    response = enter(person, started["user_code"])
    assert response.status_code == 303, text_of(response)
    return response["Location"]


def press(person, url, allow="yes", **form):
    return fill_in(browser_of(person), url, {"allow": allow, **form})


def grant():
    return Grant.objects.get()


def switch(browser, url):
    """Return what follows when *browser* presses “Not you?” on the page at *url*."""
    page = browser.get(url, secure=True).content.decode()
    [(action, form)] = re.findall(r'action="([^"]*)" class="person">(.*?)</form>', page, flags=re.DOTALL)
    return browser.post(action, dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)), secure=True)


def test_page_asks_for_the_code_and_warns(richard):
    response = browser_of(richard).get(DEVICE, secure=True)

    text = text_of(response)
    assert "Enter the code shown on your device" in text
    assert "Continue only if you started this yourself." in text
    assert response["Content-Security-Policy"].endswith("form-action 'self'")


def test_code_in_the_link_fills_the_form_and_enters_nothing(richard, started):
    response = browser_of(richard).get(DEVICE, {"user_code": started["user_code"]}, secure=True)

    assert f'value="{started["user_code"]}"' in response.content.decode()
    assert grant().user is None


@pytest.mark.parametrize(
    "written",
    [lambda code: code, lambda code: code.replace("-", ""), lambda code: f" {code.replace('-', ' ').lower()} "],
    ids=["as-shown", "without-dash", "spaces-and-lower-case"],
)
def test_code_may_be_written_in_any_way(richard, started, written):
    response = enter(richard, written(started["user_code"]))

    assert response.status_code == 303
    assert started["user_code"].replace("-", "") not in response["Location"]
    assert grant().user == richard
    assert grant().status == Grant.AUTHORIZATION_PENDING


@pytest.mark.parametrize("code", ["", "BCDF-GHJ", "BCDF-GHJKL", "AEIO-UYAE", "B0DF-GH1K", "\x00", "<b>" * 20])
def test_text_of_another_shape_is_refused(richard, started, code):
    response = enter(richard, code)

    assert response.status_code == 400
    assert grant().user is None


def test_unknown_code_is_refused(richard, started):
    response = enter(richard, "BBBB-BBBB" if started["user_code"] != "BBBB-BBBB" else "CCCC-CCCC")

    assert (response.status_code, UNKNOWN in text_of(response)) == (400, True)
    assert refusals() == [(None, "unknown_user_code")]


def test_code_at_its_end_is_unknown(richard, started, time_machine):
    time_machine.move_to(grant().expires, tick=False)

    assert UNKNOWN in text_of(enter(richard, started["user_code"]))


def test_code_that_somebody_else_entered_is_unknown(richard, started):
    enter(make_person("Dinesh"), started["user_code"])

    assert UNKNOWN in text_of(enter(richard, started["user_code"]))
    assert grant().user.username == "Dinesh"


def test_code_of_a_disabled_client_is_unknown(richard, watch, started):
    clients.disable(watch.client)

    assert UNKNOWN in text_of(enter(richard, started["user_code"]))


def test_code_that_was_answered_is_unknown(richard, started):
    press(richard, confirm_url(richard, started))

    assert UNKNOWN in text_of(enter(richard, started["user_code"]))


def test_code_that_two_devices_show_is_unknown(richard, watch, started):
    start_device(watch)
    Grant.objects.update(user_code=started["user_code"].replace("-", ""))

    assert UNKNOWN in text_of(enter(richard, started["user_code"]))


def test_each_person_who_enters_unknown_codes_leaves_an_event_an_hour(richard):
    for person in (richard, richard, somebody("Dinesh")):
        enter(person, "BBBB-BBBB")

    events = KeyEvent.objects.filter(kind=EventKind.OAUTH_REFUSED).order_by("pk")
    assert [(event.actor_name, event.details) for event in events] == [
        ("Richard", {"error": "unknown_user_code"}),
        ("Dinesh", {"error": "unknown_user_code"}),
    ]


def test_too_many_codes_leave_an_event_of_their_own(richard, started):
    for _try in range(12):
        enter(richard, started["user_code"][::-1])

    assert refusals() == [(None, "unknown_user_code"), (None, "too_many_user_codes")]


def test_eleventh_code_of_a_minute_is_too_many(richard, started):
    statuses = {enter(richard, "BBBB-BBBB").status_code for _try in range(10)}

    response = enter(richard, started["user_code"])

    assert statuses == {400}
    assert (response.status_code, response["Retry-After"]) == (429, "60")
    assert "You may enter 10 codes a minute." in text_of(response)
    assert grant().user is None
    assert enter(somebody("Dinesh"), started["user_code"]).status_code == 303


def test_question_names_the_device_and_warns(richard, started):
    text = text_of(browser_of(richard).get(confirm_url(richard, started), secure=True))

    assert "Apple Watch app wants to use your" in text
    assert "Device: Apple Watch app. Continue only if you started this yourself." in text
    assert "It will be able to ✓ View your to-dos" in text
    assert "After you continue, you go" not in text


def test_reading_the_question_answers_nothing(richard, watch, started):
    browser_of(richard).get(confirm_url(richard, started), {"allow": "yes"}, secure=True)

    assert grant().status == Grant.AUTHORIZATION_PENDING
    assert consents.live(richard, watch.client) is None


def test_allow_lets_the_device_in_with_what_was_listed(richard, watch, started):
    response = press(richard, confirm_url(richard, started))

    token = poll_device(watch, started["device_code"]).json()
    assert (response.status_code, response["Location"]) == (303, "/o/device-done/allowed/")
    assert token["scope"] == "todo:read"
    assert consents.live(richard, watch.client).scopes == ["todo:read"]


def test_cancel_turns_the_device_away(richard, watch, started):
    response = press(richard, confirm_url(richard, started), allow="no")

    assert response["Location"] == "/o/device-done/refused/"
    assert poll_device(watch, started["device_code"]).json()["error"] == "access_denied"
    assert consents.live(richard, watch.client) is None


def test_question_of_somebody_else_is_not_found(richard, watch, started):
    url = confirm_url(make_person("Dinesh"), started)

    assert browser_of(richard).get(url, secure=True).status_code == 404
    assert press(richard, url).status_code == 404
    assert grant().status == Grant.AUTHORIZATION_PENDING


@pytest.mark.parametrize("is_grouped", [False, True], ids=["plain", "digits in groups"])
def test_whoever_is_there_instead_enters_the_code_again(richard, watch, started, settings, is_grouped):
    settings.USE_THOUSAND_SEPARATOR = is_grouped
    Grant.objects.update(id=123456)
    browser = browser_of(somebody("Dinesh"))
    url = browser.post(DEVICE, {"user_code": started["user_code"]}, secure=True)["Location"]

    response = switch(browser, url)

    assert (response.status_code, response["Location"]) == (303, "/accounts/login/?next=/o/device/")
    assert "_auth_user_id" not in browser.session
    press(richard, confirm_url(richard, started))
    assert poll_device(watch, started["device_code"]).status_code == 200
    assert consents.live(richard, watch.client) is not None


@pytest.mark.parametrize("who", ["somebody else", "nobody"])
def test_code_is_put_back_by_who_entered_it_alone(richard, started, who):
    confirm_url(somebody("Dinesh"), started)
    browser = browser_of(richard) if who == "somebody else" else Browser()

    response = browser.post(SWITCH, {"device": grant().pk}, secure=True)

    assert response.status_code == 303
    assert grant().user.username == "Dinesh"
    assert UNKNOWN in text_of(enter(richard, started["user_code"]))


@pytest.mark.parametrize("allow", ["yes", "no"])
def test_code_that_was_answered_is_not_put_back(richard, started, allow):
    press(richard, confirm_url(richard, started), allow=allow)

    browser_of(richard).post(SWITCH, {"device": grant().pk}, secure=True)

    assert grant().user == richard
    assert grant().status == (Grant.AUTHORIZED if allow == "yes" else Grant.DENIED)


@pytest.mark.parametrize("device", ["", "x", "-1", "9" * 30, "9" * 5000, "\x00"])
def test_device_that_there_is_not_keeps_nobody_from_signing_out(richard, started, device):
    browser = browser_of(richard)

    response = browser.post(SWITCH, {"device": device, "next": "/todos/"}, secure=True)

    assert response.status_code == 303
    assert "_auth_user_id" not in browser.session


@pytest.mark.parametrize("answers", [("yes", "no"), ("no", "yes")], ids=["allowed", "refused"])
def test_first_answer_counts(richard, started, answers):
    url = confirm_url(richard, started)
    press(richard, url, allow=answers[0])

    response = press(richard, url, allow=answers[1])

    assert response.status_code == 400
    assert "<code>expired_link</code>" in response.content.decode()
    assert grant().status == (Grant.AUTHORIZED if answers[0] == "yes" else Grant.DENIED)


def test_answer_after_the_end_gives_nothing(richard, watch, started, time_machine):
    url = confirm_url(richard, started)
    time_machine.move_to(grant().expires, tick=False)

    response = press(richard, url)

    assert response.status_code == 400
    assert consents.live(richard, watch.client) is None
    assert grant().status == Grant.AUTHORIZATION_PENDING


def test_permission_that_the_client_lost_meanwhile_is_not_given(richard, watch):
    started = start_device(watch, scope="todo:read todo:write").json()
    url = confirm_url(richard, started)
    clients.set_ceiling(watch.client, scopes=["todo:read"])

    press(richard, url)

    assert grant().scope == "todo:read"
    assert consents.live(richard, watch.client).scopes == ["todo:read"]


def test_left_out_permission_does_not_reach_the_device(richard):
    watch = make_app("urn:ietf:params:oauth:grant-type:device_code", is_public=True, optional_scopes=["todo:write"])
    started = start_device(watch, scope="todo:read todo:write").json()

    press(richard, confirm_url(richard, started))

    assert poll_device(watch, started["device_code"]).json()["scope"] == "todo:read"


def test_device_is_asked_for_however_fresh_the_consent(richard, watch, started):
    consents.give(richard, watch.client, scopes=["todo:read"])

    response = browser_of(richard).get(confirm_url(richard, started), secure=True)

    assert response.status_code == 200
    assert "It asks for nothing new." in text_of(response)
    assert grant().status == Grant.AUTHORIZATION_PENDING


@pytest.mark.parametrize("page", ["code", "question"])
def test_form_of_another_site_is_refused(richard, started, page):
    url = DEVICE if page == "code" else confirm_url(richard, started)
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(richard)

    response = browser.post(url, {"user_code": started["user_code"], "allow": "yes"}, secure=True)

    assert response.status_code == 403
    assert grant().status == Grant.AUTHORIZATION_PENDING


@pytest.mark.parametrize("page", ["device/", "device-confirm/1/", "device-done/allowed/"])
def test_pages_are_for_who_is_signed_in(client, page):
    response = client.get(f"/o/{page}", secure=True)

    assert response["Location"].startswith("/accounts/login/?next=/o/device")


@pytest.mark.parametrize(("outcome", "title"), [("allowed", "Done"), ("refused", "Nothing was shared")])
def test_last_page_says_how_it_went(richard, outcome, title):
    assert title in text_of(browser_of(richard).get(f"/o/device-done/{outcome}/", secure=True))


def test_there_is_no_other_last_page(richard):
    assert browser_of(richard).get("/o/device-done/other/", secure=True).status_code == 404


def test_withdrawn_before_the_device_asks_gives_no_token(richard, watch, started):
    press(richard, confirm_url(richard, started))
    consents.withdraw(richard, watch.client, by=richard)

    assert poll_device(watch, started["device_code"]).json()["error"] == "access_denied"


def test_device_code_lasts_minutes_not_days(started):
    assert grant().expires <= datetime.now(UTC) + timedelta(minutes=30)
