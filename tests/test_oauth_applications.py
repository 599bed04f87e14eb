from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import Permission
from django.test import override_settings
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_refresh_token_model,
)

from apikeys import clients
from apikeys.conf import settings
from apikeys.core import errors
from apikeys.models import Client, KeyEvent
from apikeys.oauth import applications
from apikeys.oauth.models import ClientApplication, Consent
from tests.factories import ClientFactory, PersonFactory
from tests.oauth import (
    CALLBACK,
    client_credentials,
    error_of,
    exchange,
    get_code,
    get_token,
    issued,
    make_app,
    make_person,
    refresh,
)
from tests.oauth_clients import PNG

pytestmark = pytest.mark.django_db

CODE = "authorization-code"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CREDENTIALS = "client-credentials"


def made(app: Client | None = None, **fields: Any) -> applications.NewApplication:
    fields = {"sign_in": CODE, "redirect_uris": [CALLBACK], **fields}
    return applications.create(app or ClientFactory(), **fields)


def staff(*rights, **fields):
    """Return a member of staff with *rights*, codenames of this app and of ``apikeys.oauth``."""
    person = PersonFactory(**fields)
    person.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return type(person).objects.get(pk=person.pk)


def test_application_has_the_public_id_of_its_client():
    app = ClientFactory()

    new = made(app)

    assert new.link.application.client_id == app.client_id
    assert app.client_application == new.link


def test_secret_is_stored_as_a_hash():
    new = made()

    stored = get_application_model().objects.get().client_secret
    assert new.secret not in stored
    assert check_password(new.secret, stored)
    assert new.link.secret_set_at is not None


def test_secret_is_not_in_the_repr():
    new = made()

    assert new.secret is not None
    assert new.secret not in repr(new)


def test_app_that_keeps_no_secret_gets_none():
    new = made(is_public=True)

    stored = get_application_model().objects.get()
    assert (new.secret, new.link.secret_set_at, stored.client_type) == (None, None, "public")
    assert not check_password("", stored.client_secret)


def test_sign_in_is_written_down_with_its_event():
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    app = ClientFactory()

    made(app, by=gilfoyle, source="admin")

    event = KeyEvent.objects.get(kind="sign_in_changed")
    assert (event.client, event.actor, event.source) == (app, gilfoyle, "admin")
    assert event.details == {"sign_in": CODE, "changed": ["sign_in"]}


def test_client_signs_in_in_one_way():
    app = ClientFactory()
    made(app)

    with pytest.raises(errors.SignInExistsError):
        made(app)

    assert get_application_model().objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        pytest.param("third_party", {"sign_in": "password"}, errors.SignInRefusedError, id="password-grant"),
        pytest.param("third_party", {"sign_in": "implicit"}, errors.SignInRefusedError, id="implicit-grant"),
        pytest.param("third_party", {"sign_in": ""}, errors.SignInRefusedError, id="no-grant"),
        pytest.param("third_party", {"redirect_uris": []}, errors.SignInRefusedError, id="code-without-address"),
        pytest.param("third_party", {"redirect_uris": ["http://a.example/"]}, errors.RedirectRefusedError, id="http"),
        pytest.param("third_party", {"sign_in": DEVICE}, errors.SignInRefusedError, id="device-with-address"),
        pytest.param(
            "third_party",
            {"sign_in": CREDENTIALS, "redirect_uris": [], "is_public": True},
            errors.SignInRefusedError,
            id="public-client-credentials",
        ),
        pytest.param("third_party", {"skips_consent": True}, errors.SignInRefusedError, id="third-party-skips"),
        pytest.param(
            "first_party",
            {"sign_in": DEVICE, "redirect_uris": [], "skips_consent": True},
            errors.SignInRefusedError,
            id="device-skips",
        ),
        pytest.param("third_party", {"minimum_scopes": ["usage:read"]}, errors.ScopeAboveCeilingError, id="minimum"),
        pytest.param("third_party", {"optional_scopes": ["usage:read"]}, errors.ScopeAboveCeilingError, id="optional"),
        pytest.param("third_party", {"minimum_scopes": ["todo:all"]}, errors.UndeclaredScopeError, id="undeclared"),
        pytest.param(
            "third_party", {"minimum_scopes": ["apikeys:usage"]}, errors.ScopeNotGrantableError, id="reserved-minimum"
        ),
        pytest.param(
            "third_party", {"optional_scopes": ["apikeys:usage"]}, errors.ScopeNotGrantableError, id="reserved-optional"
        ),
        pytest.param("third_party", {"website": "http://a.example/"}, errors.SignInRefusedError, id="http-web-page"),
        pytest.param("third_party", {"website": "javascript:alert(1)"}, errors.SignInRefusedError, id="script-page"),
        pytest.param(
            "third_party", {"privacy_policy": "https://bank.example@a.example/"}, errors.SignInRefusedError, id="user"
        ),
        pytest.param("third_party", {"publisher": "a" * 81}, errors.NameRefusedError, id="long-publisher"),
        pytest.param("third_party", {"publisher": "a\u202eb"}, errors.NameRefusedError, id="turned-publisher"),
        pytest.param("third_party", {"logo": b"<svg/>"}, errors.LogoRefusedError, id="logo"),
    ],
)
def test_what_does_not_go_together_is_refused(kind, fields, error):
    app = ClientFactory(kind=kind, allowed_scopes=["todo:read", "apikeys:usage"])

    with pytest.raises(error):
        made(app, **fields)

    assert not ClientApplication.objects.exists()
    assert not get_application_model().objects.exists()


def test_unknown_field_is_a_fault_of_the_caller():
    with pytest.raises(TypeError, match="redirects"):
        made(redirects=[])


def test_edit_changes_what_it_is_told_to():
    link = made(publisher="Hooli", logo=PNG).link

    changed = applications.edit(link, publisher="Hooli Labs", is_verified=True)

    stored = ClientApplication.objects.get()
    assert changed == ["publisher", "is_verified"]
    assert (stored.publisher, stored.is_verified, bytes(stored.logo or b"")) == ("Hooli Labs", True, PNG)
    assert (link.publisher, link.is_verified) == ("Hooli Labs", True)


def test_edit_without_a_change_leaves_no_event():
    link = made(publisher="Hooli").link

    changed = applications.edit(link, publisher="Hooli", redirect_uris=[CALLBACK])

    assert changed == []
    assert KeyEvent.objects.filter(kind="sign_in_changed").count() == 1


def test_scope_above_a_ceiling_that_was_lowered_is_left_out():
    app = ClientFactory(allowed_scopes=["todo:read", "todo:write"])
    link = made(app, minimum_scopes=["todo:read", "todo:write"]).link
    clients.set_ceiling(app, scopes=["todo:read"])

    applications.edit(link, publisher="Hooli Labs")

    link.refresh_from_db()
    assert link.minimum_scopes == ["todo:read"]


def test_another_way_to_sign_in_ends_tokens_and_codes():
    app, richard = make_app(), make_person()
    token = get_token(app, richard)
    get_code(app, richard)
    applications.edit(app.link, sign_in=DEVICE, redirect_uris=[])

    refreshed = refresh(app, token["refresh_token"])

    assert issued() == (0, 0, 0)
    assert error_of(refreshed) == (400, "invalid_grant")
    assert KeyEvent.objects.filter(kind="sign_in_changed").latest("pk").details["ended"] == 2


def test_narrowed_addresses_end_the_codes_that_were_for_them():
    app, richard = make_app(redirect_uris=[CALLBACK, "https://app.example/new"]), make_person()
    code = get_code(app, richard, redirect_uri=CALLBACK)
    applications.edit(app.link, redirect_uris=["https://app.example/new"])

    answer = exchange(app, code)

    assert error_of(answer) == (400, "invalid_grant")
    assert issued() == (0, 0, 0)


def test_addresses_that_stay_keep_their_codes():
    app, richard = make_app(redirect_uris=[CALLBACK, "https://app.example/old"]), make_person()
    code = get_code(app, richard, redirect_uri=CALLBACK)
    applications.edit(app.link, redirect_uris=[CALLBACK])

    answer = exchange(app, code)

    assert answer.status_code == 200


def test_app_that_begins_to_keep_a_secret_has_none_until_one_is_made():
    link = made(is_public=True).link

    applications.edit(link, is_public=False)

    before = link.secret_set_at
    secret = applications.replace_secret(link)
    assert before is None
    assert link.secret_set_at is not None
    assert check_password(secret, get_application_model().objects.get().client_secret)


def test_secret_that_opened_nothing_alone_is_none_once_the_app_calls_for_itself():
    app = make_app()

    applications.edit(app.link, sign_in=CREDENTIALS, redirect_uris=[])

    assert app.link.secret_set_at is None
    assert error_of(client_credentials(app, scope="todo:read")) == (401, "invalid_client")


def test_replaced_secret_stops_at_once():
    app = make_app(CREDENTIALS)
    new = applications.replace_secret(app.link)

    with_old = client_credentials(app, scope="todo:read")
    with_new = client_credentials(type(app)(link=app.link, secret=new), scope="todo:read")

    assert error_of(with_old) == (401, "invalid_client")
    assert with_new.status_code == 200


def test_replacing_is_written_down_without_the_secret():
    link = made().link

    secret = applications.replace_secret(link, by=None, source="admin")

    event = KeyEvent.objects.get(kind="secret_replaced")
    assert (event.client, event.source, event.details) == (link.client, "admin", {})
    assert secret


def test_one_reading_of_the_application_replaces_one_secret():
    link = made().link
    stale = ClientApplication.objects.get()
    applications.replace_secret(link)

    with pytest.raises(errors.SecretReplacedError):
        applications.replace_secret(stale)

    assert KeyEvent.objects.filter(kind="secret_replaced").count() == 1


def test_app_without_a_secret_gets_none_by_replacing():
    link = made(is_public=True).link

    with pytest.raises(errors.SignInRefusedError):
        applications.replace_secret(link)


def test_going_back_to_keys_alone_ends_tokens_and_consents():
    app, richard = make_app(), make_person()
    token = get_token(app, richard)

    applications.remove(app.link)

    assert error_of(refresh(app, token["refresh_token"])) == (401, "invalid_client")
    ended = (Consent, ClientApplication, get_access_token_model(), get_refresh_token_model())
    assert [model.objects.count() for model in ended] == [0, 0, 0, 0]
    assert KeyEvent.objects.filter(client=app.client, kind="consent_withdrawn").count() == 1
    assert KeyEvent.objects.filter(kind="sign_in_changed").latest("pk").details["sign_in"] == ""


def test_client_may_sign_in_again_after_it_was_left_its_keys_alone():
    app = ClientFactory()
    first = made(app)
    applications.remove(first.link)

    second = made(Client.objects.get(pk=app.pk))

    assert second.link.application.client_id == app.client_id
    assert second.secret != first.secret


def test_disabled_client_gets_no_token_and_its_tokens_come_back_when_it_is_enabled():
    app, richard = make_app(), make_person()
    token = get_token(app, richard)
    clients.disable(app.client)

    while_disabled = refresh(app, token["refresh_token"])
    clients.enable(app.client)

    assert error_of(while_disabled) == (401, "invalid_client")
    assert refresh(app, token["refresh_token"]).status_code == 200


RIGHTS = ("change_client", "change_clientapplication")


@pytest.mark.parametrize(
    "rights",
    [
        pytest.param((), id="none"),
        pytest.param(("change_client",), id="client-alone"),
        pytest.param(("change_clientapplication",), id="application-alone"),
        pytest.param(("add_client", "change_clientapplication"), id="new-clients-alone"),
    ],
)
def test_both_rights_are_needed(rights):
    link, person = made().link, staff(*rights)

    for change in (
        lambda: made(by=person),
        lambda: applications.edit(link, publisher="Hooli", by=person),
        lambda: applications.replace_secret(link, by=person),
        lambda: applications.remove(link, by=person),
    ):
        with pytest.raises(errors.NotPermittedError):
            change()


def test_who_has_both_rights_may():
    person = staff(*RIGHTS)

    link = made(by=person).link

    assert made(by=staff("add_client", RIGHTS[1]), is_new=True).secret
    assert applications.edit(link, publisher="Hooli", by=person) == ["publisher"]
    assert applications.replace_secret(link, by=person)


def test_client_credentials_need_the_right_to_issue_service_keys():
    with pytest.raises(errors.SignInRefusedError):
        made(sign_in=CREDENTIALS, redirect_uris=[], by=staff(*RIGHTS))

    assert made(sign_in=CREDENTIALS, redirect_uris=[], by=staff(*RIGHTS, "issue_service_apikey")).secret


def test_nobody_learns_a_secret_that_can_do_what_they_may_not_grant():
    scopes = {"todo:purge": {"label": "Purge", "permissions": ["todo.delete_todo"]}}
    person = staff(*RIGHTS, "issue_service_apikey")
    with override_settings(APIKEYS={**settings.given(), "SCOPES": scopes}):
        link = made(ClientFactory(allowed_scopes=["todo:purge"]), sign_in=CREDENTIALS, redirect_uris=[]).link

        with pytest.raises(errors.ScopeNotGrantableError):
            applications.replace_secret(link, by=person)


def test_superusers_alone_let_an_app_skip_the_consent_page():
    person, app = staff(*RIGHTS), ClientFactory(kind="first_party")
    with pytest.raises(errors.SignInRefusedError):
        made(app, skips_consent=True, by=person)

    link = made(app, skips_consent=True, by=PersonFactory(is_superuser=True)).link

    assert link.application.skip_authorization


def test_superusers_alone_say_where_the_codes_go_of_an_app_that_skips_the_page():
    person = staff(*RIGHTS)
    link = made(ClientFactory(kind="first_party"), skips_consent=True).link

    with pytest.raises(errors.SignInRefusedError):
        applications.edit(link, redirect_uris=["https://dinesh.example/"], by=person)

    assert applications.edit(link, publisher="Pied Piper", by=person) == ["publisher"]
    assert applications.edit(link, skips_consent=False, by=person) == ["skips_consent"]
