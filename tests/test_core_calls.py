from __future__ import annotations

from django.http import HttpRequest

from apikeys.core import calls


def test_a_request_that_nobody_presented_a_credential_on_has_no_call():
    request = HttpRequest()

    calls.note_scopes(request, ["todo:read"])
    calls.note_refusal(request, "limited")

    assert calls.call_of(request) is None
