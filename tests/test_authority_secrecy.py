"""What error reports show of forms that hold keys and tokens."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.views.debug import ExceptionReporter

from apikeys.testing import make_key
from apikeys.testing.leaks import assert_not_stored

from .introspection import introspect, make_app, make_server, revoke, set_signing_key, signed

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings):
    set_signing_key(settings)
    return make_server()


def report(raised):
    """Return what Django reports of *raised*, from where the site's own code began."""
    traceback = raised.tb
    while traceback.tb_frame.f_globals["__name__"] != "django.core.handlers.base":
        traceback = traceback.tb_next
    return ExceptionReporter(None, raised.type, raised.value, traceback).get_traceback_html()


def without_issuer(settings):
    # Whatever fails: here, what the answer can't do without.
    settings.APIKEYS = {**settings.APIKEYS, "ISSUER": ""}


def test_report_of_a_fault_while_introspecting_shows_no_key(settings, server):
    issued = make_key(client=make_app(server))
    without_issuer(settings)

    with pytest.raises(ImproperlyConfigured) as raised:
        introspect(server, issued)

    text = report(raised)
    assert "examine" in text
    assert_not_stored(issued.plaintext, also={"report": text})
    assert_not_stored(server.key.plaintext, also={"report": text})


def test_report_of_a_fault_while_giving_up_shows_no_token(settings, server):
    issued = make_key(client=make_app(server))
    token = signed(issued, server)
    without_issuer(settings)

    with pytest.raises(ImproperlyConfigured) as raised:
        revoke(issued, token)

    text = report(raised)
    assert "revoking" in text
    assert_not_stored(token, also={"report": text})
    assert_not_stored(issued.plaintext, also={"report": text})
