from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import override_settings
from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext_lazy
from oauth2_provider.models import get_grant_model

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import ClientKind
from apikeys.oauth import applications, consents
from tests.oauth import make_app, make_person
from tests.oauth_pages import ask, declaring, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def richard():
    return make_person("Richard")


@pytest.fixture(autouse=True)
def _site_name():
    with override_settings(APIKEYS={**settings.given(), "SITE_NAME": "Piper Todo"}):
        yield


def summariser(**fields):
    return make_app(name="LLM Summariser", publisher="Hooli Labs", website="https://summariser.example/about", **fields)


def test_page_says_who_asks_for_what_and_what_it_can_not_do(richard):
    response = ask(summariser(privacy_policy="https://summariser.example/privacy"), richard)

    text = text_of(response)
    assert response.status_code == 200
    assert "<title>Allow LLM Summariser? – Piper Todo</title>" in response.content.decode()
    for sentence in (
        "Signed in as Richard Not you?",
        "LLM Summariser wants to use your Piper Todo account",
        "by Hooli Labs · third-party app · summariser.example",
        "Piper Todo has not checked this app. Continue only if you trust it.",
        "It will be able to ✓ View your to-dos: titles, notes, due dates and status",
        "It will not be able to ✕ Create, edit and delete your to-dos ✕ Read usage numbers",
        "✕ See your e-mail address or password",
        "Until you withdraw it, at most 90 days. You can withdraw any time under Settings → Connected apps.",
        "After you continue, you go to app.example Cancel Allow",
        "Privacy policy of LLM Summariser",
    ):
        assert sentence in text, text


def test_page_has_one_heading_and_cancel_before_allow(richard):
    html = ask(summariser(), richard).content.decode()

    assert html.count("<h1") == html.count("<main") == 1
    assert re.findall(r'name="allow" value="(\w+)"', html) == ["no", "yes"]
    assert "autofocus" not in html


def test_page_needs_no_script_and_no_style_of_its_own(richard):
    html = ask(summariser(), richard).content.decode()

    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", html)


@pytest.mark.parametrize(
    ("redirect_uri", "is_public", "target"),
    [
        pytest.param("https://app.example:8443/callback", False, "https://app.example:8443", id="https"),
        pytest.param("http://127.0.0.1:8001/callback", False, "http://127.0.0.1:8001", id="loopback"),
        pytest.param("http://[::1]:8001/callback", False, "http:", id="ipv6"),
        pytest.param("com.example.app:/callback", True, "com.example.app:", id="private-scheme"),
    ],
)
def test_policy_lets_the_form_lead_to_the_app_and_nowhere_else(richard, redirect_uri, is_public, target):
    app = make_app(redirect_uris=[redirect_uri], is_public=is_public)

    response = ask(app, richard, redirect_uri=redirect_uri)

    assert response["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self' {target}"
    )


def test_page_is_kept_by_nobody_and_framed_by_nobody(richard):
    response = ask(summariser(), richard)

    assert response["Cache-Control"] == "no-store"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


def test_page_stores_nothing(richard):
    app = summariser()

    ask(app, richard)

    assert consents.live(richard, app.client) is None
    assert not get_grant_model().objects.exists()


def test_sensitive_permissions_come_first_and_writing_ones_are_bold(richard):
    response = ask(summariser(), richard, scope="todo:read todo:write")

    text = text_of(response)
    assert text.index("Create, edit and delete your to-dos sensitive") < text.index("View your to-dos")
    assert (
        re.findall(r"<strong>([^<]+)</strong>", response.content.decode())[0] == "Create, edit and delete your to-dos"
    )


def test_what_is_new_stands_apart_from_what_it_can_do_already(richard):
    app = summariser()
    consents.give(richard, app.client, scopes=["todo:read"])

    text = text_of(ask(app, richard, scope="todo:read todo:write"))

    assert "It already can ✓ View your to-dos: titles, notes, due dates and status New ✓ Create, edit" in text
    assert "It will be able to" not in text


def test_asking_again_says_that_nothing_is_new(richard):
    app = summariser()
    consents.give(richard, app.client, scopes=["todo:read"])

    text = text_of(ask(app, richard, prompt="consent"))

    assert "It already can ✓ View your to-dos" in text
    assert "It asks for nothing new." in text


def test_permission_above_the_ceiling_is_nothing_that_it_can_do_already(richard):
    app = summariser()
    consents.give(richard, app.client, scopes=["todo:read", "todo:write"])
    clients.set_ceiling(app.client, scopes=["todo:read"])

    text = text_of(ask(app, richard, prompt="consent"))

    assert "It already can ✓ View your to-dos" in text
    assert "✓ Create, edit and delete" not in text
    assert "It will not be able to ✕ Create, edit and delete your to-dos" in text


def test_what_nobody_was_asked_for_is_asked_for_and_not_called_allowed(richard):
    app = summariser(kind=ClientKind.FIRST_PARTY, skips_consent=True)
    ask(app, richard)
    applications.edit(app.link, skips_consent=False)

    text = text_of(ask(app, richard))

    assert "It will be able to ✓ View your to-dos" in text
    assert "It already can" not in text


def test_only_optional_permissions_have_a_box(richard):
    app = summariser(optional_scopes=["todo:write"])

    html = ask(app, richard, scope="todo:read todo:write").content.decode()

    assert re.findall(r'type="checkbox" name="optional" value="([^"]+)" id="[^"]+" checked', html) == ["todo:write"]


def test_permission_that_the_person_lacks_is_said_to_do_nothing(richard):
    with declaring({"todo:read": "View to-dos.", "todo:write": {"text": "Edit.", "permissions": ["auth.add_user"]}}):
        app = summariser()
        note = "You may not do this yourself, so it does not work for the app either."

        assert note in text_of(ask(app, richard, scope="todo:read todo:write"))

        richard.user_permissions.add(Permission.objects.get(codename="add_user"))
        assert note not in text_of(ask(app, richard, scope="todo:read todo:write"))


def test_app_of_the_site_itself_is_called_that_and_needs_no_warning(richard):
    text = text_of(ask(summariser(kind=ClientKind.FIRST_PARTY), richard))

    assert "an app of Piper Todo" in text
    assert "has not checked" not in text


def test_app_that_was_checked_needs_no_warning(richard):
    assert "has not checked" not in text_of(ask(summariser(is_verified=True), richard))


def test_what_it_can_not_do_starts_with_what_is_nearest_and_is_short(richard):
    names = [f"far:{number}" for number in range(6)] + ["todo:read", "todo:write"]
    with declaring({name: {"text": f"Do {name}.", "resource": name.partition(":")[0]} for name in names}):
        text = text_of(ask(make_app(scopes=["todo:read"]), richard))

    assert "It will not be able to ✕ Do todo:write ✕ Do far:0 ✕ Do far:1 ✕ Do far:2 ✕ Do far:3 ✕ Anything else" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profile:read", "See your name and e-mail address."),
        ("user:read", "View who you are: name, street and phone."),
        ("users.read_all", "View the team."),
        ("me", "View what is on your badge."),
        ("view-Me", "View what is on your badge."),
        ("people:list", "View the team."),
        ("contacts.readonly", "View your friends."),
        ("identity", "View your passport."),
        ("address:read", "View where you live."),
        ("badge:read", "View what is known of the person."),
        ("badge:read", "Tell the app “it is me”."),
    ],
)
def test_password_stays_out_of_reach_where_the_address_may_not(richard, name, text):
    with declaring({name: text}):
        said = text_of(ask(make_app(scopes=[name]), richard, scope=name))

    assert "✕ See your password" in said, said


def test_password_stays_out_of_reach_in_a_language_that_says_it_in_other_words(richard):
    with declaring({"badge:read": gettext_lazy("users")}), translation.override("en"):
        said = text_of(
            ask(make_app(scopes=["badge:read"]), richard, scope="badge:read", headers={"Accept-Language": "de"})
        )

    assert "✓ Benutzer" in said
    assert "✕ Ihr Passwort sehen" in said


@pytest.mark.parametrize("text", ["Rename some documents.", "Time what is measured.", "Call some method."])
def test_word_that_is_only_part_of_another_says_nothing_of_people(richard, text):
    with declaring({"theme:name": text}):
        said = text_of(ask(make_app(scopes=["theme:name"]), richard, scope="theme:name"))

    assert "✕ See your e-mail address or password" in said


class CountedName(str):
    """The name of a scope, which counts how often one is compared with another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other):
        CountedName.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def comparisons_for(person, *, scopes):
    """Return how often names of scopes are compared for a page that asks again for so many *scopes*."""
    names = [f"area{number}:edit" for number in range(scopes)]
    with declaring({CountedName(name): f"Edit area {name}." for name in names}):
        app = make_app(scopes=names)
        consents.give(person, app.client, scopes=names[: scopes // 2])
        CountedName.compared = 0
        response = ask(app, person, scope=" ".join(names))
    assert text_of(response).count("✓") == scopes
    return CountedName.compared


def test_twice_as_many_permissions_are_twice_the_work(richard):
    few, many = (comparisons_for(richard, scopes=scopes) for scopes in (20, 40))

    assert 0 < many <= 2.2 * few


@pytest.mark.parametrize("name", ["<b>Bold</b> {} %s", "مُلخّص", "W" * 80], ids=["markup", "right-to-left", "long"])
def test_name_is_shown_as_it_is(richard, name):
    html = ask(make_app(name=name), richard).content.decode()

    assert f"<h1><bdi>{escape(name)}</bdi> wants to use your Piper Todo account</h1>" in html
    assert f"<title>Allow {escape(name)}? – Piper Todo</title>" in html


def test_name_and_page_in_the_request_count_for_nothing(richard):
    response = ask(summariser(), richard, client_name="Bank", logo_uri="https://evil.example/x.png", publisher="Bank")

    assert "Bank" not in text_of(response)
    assert "evil.example/x.png" not in re.sub(r'(action|value)="[^"]*"', "", response.content.decode())
