from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.urls import path

from apikeys.conf import settings
from apikeys.drf import HasClaim, HasScopes
from apikeys.resource_server import SignedTokenAuthentication

from .claims import CLAIMS, declared
from .drf_views import view

READ = HasScopes("todo:read")


def found(*ids):
    return [message for message in run_checks(tags=["apikeys"]) if message.id in ids]


def declaring(claims):
    return override_settings(APIKEYS={**settings.given(), "CLAIMS": claims})


def test_claims_that_can_be_read_give_no_message():
    with declared():
        assert found("apikeys.E001", "apikeys.E016") == []


@pytest.mark.parametrize(
    ("name", "declaration", "text"),
    [
        ("sub", "text", "'sub' means something in tokens already"),
        ("Seats", "integer", "'Seats' is not the name of a claim"),
        ("seats", "int", "Claim 'seats' has the type 'int', but types are text, integer, number, boolean, texts."),
        ("plan", {"type": "text", "choice": []}, "Claim 'plan' has unknown members: choice."),
    ],
    ids=["registered", "name", "type", "member"],
)
def test_a_claim_that_can_not_be_read_is_an_error(name, declaration, text):
    with declaring({name: declaration, "beta": "boolean"}):
        (error,) = found("apikeys.E016")

    assert error.msg.startswith(f"APIKEYS['CLAIMS']: {text}")


def test_claims_that_are_no_dict_are_an_error():
    with declaring(["seats"]):
        assert [error.msg for error in found("apikeys.E001")] == ["APIKEYS['CLAIMS'] is ['seats'], but must be a dict."]


def test_commands_refuse_to_run_with_a_registered_name():
    with declaring({"scope": "texts"}), pytest.raises(CommandError, match="means something in tokens already"):
        call_command("check", tags=["apikeys"])


class Addresses:
    """URLs with one view that has *permission*."""

    def __init__(self, permission: Any, **attributes: Any) -> None:
        self.urlpatterns = [path("todos/", view(permission_classes=[permission], **attributes).as_view())]


FAULTS: dict[str, tuple[Any, str]] = {
    "undeclared": (READ & HasClaim("subscripton"), "There is no claim 'subscripton'. Did you mean 'subscription'?"),
    "turned round": (READ & ~HasClaim("suspended"), "There is no claim 'suspended'."),
    "choice": (READ & HasClaim("subscription", "premum"), "'subscription' is never 'premum'. Did you mean 'premium'?"),
    "kind": (READ & HasClaim("seats", "3"), "The claim 'seats' is never '3'."),
    "item": (READ & HasClaim("plans", "huge"), "The claim 'plans' is never 'huge'. Known are: small, large."),
    "bare": (HasClaim, "HasClaim stands there without the name of one."),
}


@pytest.mark.parametrize(("permission", "text"), FAULTS.values(), ids=FAULTS)
def test_a_view_that_asks_for_what_nobody_can_have_is_an_error(permission, text):
    with declared(), override_settings(ROOT_URLCONF=Addresses(permission)):
        (error,) = found("apikeys.E021")

    assert text in error.msg
    assert error.obj == "tests.drf_views.Todos"


@pytest.mark.parametrize(
    "permission",
    [
        pytest.param(READ & HasClaim("subscription", "premium"), id="choice"),
        pytest.param(READ & HasClaim("regions", "eu"), id="item"),
        pytest.param(READ & (HasClaim("beta") | ~HasClaim("seats", 3)), id="tree"),
    ],
)
def test_a_view_that_asks_for_what_is_declared_gives_no_message(permission):
    with declared(), override_settings(ROOT_URLCONF=Addresses(permission)):
        assert found("apikeys.E005", "apikeys.E021") == []


def test_where_no_claim_is_declared_the_error_says_so():
    with override_settings(ROOT_URLCONF=Addresses(READ & HasClaim("seats"))):
        (error,) = found("apikeys.E021")

    assert error.msg.endswith("There is no claim 'seats'. None is declared.")


def test_what_another_authority_says_is_declared_there():
    elsewhere = Addresses(READ & HasClaim("colour"), authentication_classes=[SignedTokenAuthentication])

    with override_settings(ROOT_URLCONF=elsewhere):
        assert found("apikeys.E021") == []


def test_a_claim_beside_a_scope_by_or_is_an_error():
    with declared(), override_settings(ROOT_URLCONF=Addresses(READ | HasClaim("beta"))):
        (error,) = found("apikeys.E005")

    assert "To ask for more than a scope, join with “&”." in error.hint


def test_every_claim_of_these_tests_is_declared_well():
    with declaring(CLAIMS):
        assert found("apikeys.E016") == []
