"""Parameters that no standard knows: their names are attributes of what the libraries below pass around."""

from __future__ import annotations

import pytest
from authlib.common.security import generate_token

from tests import oauth
from tests.oauth_pages import answer, ask, parameters_in

pytestmark = pytest.mark.django_db

SMUGGLED = {
    "encoding": "utf-16",
    "refresh_token_instance": "1",
    "device_grant": "1",
    "user": "1",
    "client": "1",
    "scopes": "todo:write",
    "expires_in": "31536000",
    "extra_credentials": "x",
    "using_default_redirect_uri": "1",
    "id_token": "x",
    "claims": "{",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_token_request_means_the_same_with_a_name_that_is_nobodys(name):
    app, person = oauth.make_app(), oauth.make_person()
    smuggled = {name: SMUGGLED[name]}

    exchanged = oauth.exchange(app, oauth.get_code(app, person), **smuggled)
    refreshed = oauth.refresh(app, exchanged.json()["refresh_token"], **smuggled)

    for response in (exchanged, refreshed):
        assert response.status_code == 200, response.text
        assert (response.json()["scope"], response.json()["expires_in"]) == ("todo:read", 900)


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_device_gets_the_same_with_a_name_that_is_nobodys(name):
    app, person = oauth.make_app(oauth.DEVICE_CODE), oauth.make_person()
    smuggled = {name: SMUGGLED[name]}

    started = oauth.start_device(app, **smuggled)
    oauth.approve_device(app, person, started.json())
    response = oauth.poll_device(app, started.json()["device_code"], **smuggled)

    assert response.status_code == 200, response.text
    assert response.json()["scope"] == "todo:read"


@pytest.mark.parametrize("mode", ["fragment", "form_post", "web_message"])
def test_a_code_goes_into_the_query_whatever_the_link_says(mode):
    app, person = oauth.make_app(), oauth.make_person()

    allowed = answer(app, person, response_mode=mode)
    refused = answer(app, person, response_mode=mode, allow="no")

    assert "code" in parameters_in(allowed)
    assert parameters_in(refused)["error"] == "access_denied"
    assert "#" not in allowed["Location"] + refused["Location"]


@pytest.mark.parametrize("name", [*SMUGGLED, "registration", "request", "request_uri"])
def test_a_link_means_the_same_with_a_name_that_is_nobodys(name):
    app, person = oauth.make_app(), oauth.make_person()
    smuggled = {name: SMUGGLED.get(name, "https://evil.example/")}
    verifier = generate_token(48)

    page = ask(app, person, **smuggled)
    location = oauth.allow(app, person, oauth.authorization_url(app, verifier, **smuggled))

    assert page.status_code == 200
    token = oauth.exchange(app, oauth.Code(oauth.code_in(location), verifier)).json()
    assert token["scope"] == "todo:read"


@pytest.mark.parametrize("resource", ["https://[::1", "https://\u2100.example/", "https://a:x/"])
def test_a_link_for_a_resource_that_is_no_address_gives_nothing(resource):
    app, person = oauth.make_app(), oauth.make_person()

    response = ask(app, person, resource=resource)

    assert parameters_in(response)["error"] == "invalid_target"
    assert oauth.issued() == (0, 0, 0)
