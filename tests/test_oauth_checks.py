from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import run_checks
from django.urls import include, path
from oauth2_provider import urls as toolkit_urls
from oauth2_provider import views as toolkit
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views.generic import ProtectedResourceView

from apikeys.oauth import LayeredAuthentication
from apikeys.oauth.checks import CHOSEN, DEVIATIONS, PARTS
from apikeys.oauth.defaults import OAUTH2_PROVIDER
from apikeys.oauth.scopes import RegistryScopes
from apikeys.oauth.server import OAuthServer
from apikeys.oauth.validators import Validator
from apikeys.oauth.views.token import TokenView
from tests.oauth_views import token_view
from tests.replicas import ReplicaRouter

# None of these tests may use the database: pytest-django makes a query fail.

#: What is ours, of what a check of this project may say.
OURS = {
    *(f"apikeys.{deviation.id}" for deviation in DEVIATIONS),
    *PARTS.values(),
    *(f"apikeys.{name}" for name in ("E015", "E036", "E037", "W214", "W215")),
}


def found(*, deploy=False):
    """Return the ids that ``manage.py check --tag apikeys`` names, of those about OAuth."""
    messages = run_checks(tags=["apikeys"], include_deployment_checks=deploy)
    return [message.id.removeprefix("apikeys.") for message in messages if message.id in OURS]


class OwnValidator(Validator):
    pass


class OwnScopes(RegistryScopes):
    pass


class OwnServer(OAuthServer):
    pass


class Elsewhere:
    """A router that keeps consents apart."""

    def db_for_write(self, model, **hints):
        return "other" if model.__name__ == "Consent" else None


class AllButTheToolkit(ReplicaRouter):
    def db_for_read(self, model, **hints):
        return "default" if model._meta.app_label == "oauth2_provider" else "second"


def urlconf(*patterns):
    module = ModuleType("urlconf")
    vars(module)["urlpatterns"] = list(patterns)
    return module


def test_the_preset_gives_no_message():
    assert found(deploy=True) == []


@pytest.mark.django_db  # Django's own check of models asks SQLite what it can do
def test_the_preset_gives_no_message_of_the_toolkit():
    messages = run_checks(include_deployment_checks=True)

    assert not [message for message in messages if message.id.startswith("oauth2_provider.")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PKCE_REQUIRED": False}, "E011"),
        pytest.param({"PKCE_REQUIRED": lambda client_id: True}, "E011", id="PKCE by client"),
        ({"COMPLIANT_BCP_RFC9700_PKCE_METHOD": False}, "E024"),
        ({"COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": False}, "E012"),
        ({"COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": False}, "E025"),
        ({"COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": False}, "E013"),
        ({"ROTATE_REFRESH_TOKEN": False}, "E026"),
        ({"REFRESH_TOKEN_REUSE_PROTECTION": False}, "E027"),
        ({"REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 1}, "E028"),
        ({"ALLOW_URI_WILDCARDS": True}, "E014"),
        ({"ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"]}, "E029"),
        ({"COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": False}, "E030"),
        ({"COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": False}, "E031"),
        ({"RESOURCE_SERVER_TOKEN_RESOURCE_VALIDATOR": None}, "E032"),
        ({"ACCESS_TOKEN_EXPIRE_SECONDS": 3601}, "E033"),
        ({"AUTHORIZATION_CODE_EXPIRE_SECONDS": 601}, "E034"),
        ({"REFRESH_TOKEN_EXPIRE_SECONDS": None}, "E035"),
        ({"REFRESH_TOKEN_EXPIRE_SECONDS": timedelta(days=91)}, "W213"),
        ({"OIDC_ENABLED": True, "OIDC_RSA_PRIVATE_KEY": "key"}, "W216"),
        ({"DCR_ENABLED": True}, "W224"),
        ({"CIMD_ENABLED": True}, "W225"),
        ({"OAUTH2_RESPONSE_TYPES_SUPPORTED": ["code", "token"]}, "W226"),
        ({"OAUTH2_GRANT_TYPES_SUPPORTED": ["authorization_code", "password"]}, "W227"),
        pytest.param({"OAUTH_PRE_TOKEN_VALIDATION": [print]}, "W228", id="before the client is known"),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value),
)
def test_what_weakens_the_preset_is_found_before_it_is_deployed(settings, changes, expected):
    settings.OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, **changes}

    assert found(deploy=True) == [expected]
    assert found() == []


@pytest.mark.parametrize("name", OAUTH2_PROVIDER)
def test_every_setting_of_the_preset_is_checked_or_the_projects_to_choose(name):
    checked = {*PARTS, *(deviation.setting for deviation in DEVIATIONS)}

    assert (name in checked) != (name in CHOSEN)


def test_silencing_one_finding_silences_no_other():
    ids = [*PARTS.values(), *(deviation.id for deviation in DEVIATIONS)]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "changes",
    [
        {"ACCESS_TOKEN_EXPIRE_SECONDS": 3600},
        {"AUTHORIZATION_CODE_EXPIRE_SECONDS": 600},
        {"REFRESH_TOKEN_EXPIRE_SECONDS": timedelta(days=1)},
        {"REQUEST_APPROVAL_PROMPT": "auto"},
        {"COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": False},
        {"OAUTH2_VALIDATOR_CLASS": "tests.test_oauth_checks.OwnValidator"},
        {"SCOPES_BACKEND_CLASS": "tests.test_oauth_checks.OwnScopes"},
    ],
    ids=", ".join,
)
def test_what_a_project_may_choose_is_let_be(settings, changes):
    settings.OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, **changes}

    assert found(deploy=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"OAUTH2_VALIDATOR_CLASS": "oauth2_provider.oauth2_validators.OAuth2Validator"}, "E022"),
        ({"OAUTH2_VALIDATOR_CLASS": "tests.nowhere.Validator"}, "E022"),
        ({"OAUTH2_VALIDATOR_CLASS": None}, "E022"),
        ({"SCOPES_BACKEND_CLASS": "oauth2_provider.scopes.SettingsScopes"}, "E010"),
        ({"OAUTH2_SERVER_CLASS": "oauthlib.oauth2.Server"}, "E023"),
        ({"OAUTH2_SERVER_CLASS": "tests.test_oauth_checks.OwnServer"}, "E023"),
    ],
    ids=["their validator", "none to import", "none", "their scopes", "their server", "a server that is never asked"],
)
def test_parts_that_are_not_ours_are_found_at_every_start(settings, changes, expected):
    settings.OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, **changes}

    assert found() == [expected]


def test_without_the_preset_it_is_found_at_every_start(settings):
    settings.OAUTH2_PROVIDER = {}

    assert found() == ["E010", "E022", "E023"]
    assert not issubclass(OAuth2Validator, Validator)


def test_a_swapped_model_is_found(settings):
    settings.OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "shop.AccessToken"

    assert found() == ["E036"]


def test_tables_in_different_databases_are_found(settings):
    settings.DATABASE_ROUTERS = [Elsewhere()]

    assert found() == ["E015"]


def test_a_replica_that_the_toolkit_would_read_is_found(settings):
    settings.DATABASE_ROUTERS = ["tests.replicas.ReplicaRouter"]

    (message,) = [message for message in run_checks(tags=["apikeys"]) if message.id == "apikeys.E015"]

    assert "oauth2_provider" in message.hint


def test_a_replica_that_is_read_for_all_else_is_let_be(settings):
    settings.DATABASE_ROUTERS = [AllButTheToolkit()]

    assert found() == []


def test_the_toolkits_views_beside_ours_are_found(settings):
    settings.ROOT_URLCONF = urlconf(
        path("o/", include("apikeys.oauth.urls")), path("theirs/", include((toolkit_urls.base_urlpatterns, "theirs")))
    )

    assert found() == ["W214"]


@pytest.mark.parametrize(
    "theirs",
    [toolkit.TokenView, toolkit.AuthorizationView, toolkit.ApplicationList, toolkit.IntrospectTokenView],
    ids=lambda view: view.__name__,
)
def test_a_view_made_from_the_toolkits_is_found_as_well(settings, theirs):
    own: Any = type("Own", (theirs,), {"__module__": "shop.views"})
    settings.ROOT_URLCONF = urlconf(path("o/", include("apikeys.oauth.urls")), path("own/", own.as_view()))

    assert found() == ["W214"]


def test_a_view_made_from_ours_is_ours(settings):
    own: Any = type("Own", (TokenView,), {"__module__": "shop.views"})
    settings.ROOT_URLCONF = urlconf(path("own/", own.as_view()))

    assert found() == []


def test_a_page_that_the_toolkit_protects_is_the_projects(settings):
    own: Any = type("Own", (ProtectedResourceView,), {"__module__": "shop.views"})
    settings.ROOT_URLCONF = urlconf(path("o/", include("apikeys.oauth.urls")), path("own/", own.as_view()))

    assert found() == []


def test_a_view_for_pairs_where_no_key_is_read_off_its_header_is_found(settings):
    profile = token_view(authentication_classes=[LayeredAuthentication])
    settings.ROOT_URLCONF = urlconf(path("o/", include("apikeys.oauth.urls")), path("profile/", profile.as_view()))
    assert found() == []

    settings.APIKEYS = {**settings.APIKEYS, "CREDENTIAL_SOURCES": ["bearer"]}

    assert found() == ["E037"]


def test_a_project_without_our_addresses_is_told_so(settings):
    settings.ROOT_URLCONF = urlconf()

    assert found() == ["W215"]


def test_an_address_list_that_fails_is_djangos_to_report(settings):
    settings.ROOT_URLCONF = "tests.nowhere"

    assert found() == []


@pytest.mark.parametrize("missing", ["oauth2_provider", "apikeys"])
def test_a_project_that_forgot_an_app_is_told_which(missing):
    installed = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider", "apikeys", "apikeys.oauth"]
    installed.remove(missing)
    script = (
        "from django.conf import settings; import django;"
        f"settings.configure(INSTALLED_APPS={installed!r}, SECRET_KEY='x'); django.setup()"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603

    assert ended.returncode == 1
    assert f"apikeys.oauth needs '{missing}' in INSTALLED_APPS" in ended.stderr
