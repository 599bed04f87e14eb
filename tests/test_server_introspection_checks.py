from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django.urls import path

from apikeys.resource_server import IntrospectionAuthentication

from .drf_views import Plain
from .introspected import AUDIENCE, ISSUER, SERVER_KEY, Sharing, sharing

MINUTE = timedelta(minutes=1)


class Derived(IntrospectionAuthentication):
    pass


def found(identifier, *views, deploy=True, **changes):
    """Return the messages of *identifier* about a project of *views*."""
    given = {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "AUTHORITY_KEY": SERVER_KEY, **changes}
    urls = tuple(path(f"{number}/", view.as_view()) for number, view in enumerate(views))
    with override_settings(ROOT_URLCONF=urls, APIKEYS={**settings.APIKEYS, **given}):
        messages = run_checks(tags=["apikeys"], include_deployment_checks=deploy)
    return [message.msg for message in messages if message.id == f"apikeys.{identifier}"]


@pytest.mark.parametrize("view", [Sharing, sharing(authentication_classes=[Derived])], ids=["ours", "derived"])
def test_answers_that_are_kept_are_a_warning_at_deployment_that_states_the_bound(view):
    [message] = found("W221", view, INTROSPECTION_CACHE=MINUTE)

    assert "within 60 seconds" in message


@pytest.mark.parametrize(
    ("views", "changes"),
    [
        pytest.param([Sharing], {}, id="default"),
        pytest.param([Sharing], {"INTROSPECTION_CACHE": timedelta(0)}, id="zero"),
        pytest.param([Sharing], {"INTROSPECTION_CACHE": 60}, id="no-duration"),
        pytest.param([Plain], {"INTROSPECTION_CACHE": MINUTE}, id="nobody-asks"),
        pytest.param([Sharing], {"INTROSPECTION_CACHE": MINUTE, "deploy": False}, id="while-developing"),
    ],
)
def test_answers_that_are_not_kept_are_none(views, changes):
    assert found("W221", *views, **changes) == []
