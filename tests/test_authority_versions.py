"""The endpoints of the authority in a project whose own API has versions."""

from __future__ import annotations

import pytest
from rest_framework import versioning
from rest_framework.views import APIView

from .exchanges import make_holder, make_signing_key, poll_response
from .introspection import introspect, make_server, revoke

pytestmark = pytest.mark.django_db

CALLS = {
    "introspect": introspect,
    "revoke": lambda server, issued: revoke(issued, issued),
    "revocations": lambda server, issued: poll_response(server),
}


@pytest.fixture(
    params=[versioning.NamespaceVersioning, versioning.URLPathVersioning, versioning.AcceptHeaderVersioning],
    ids=lambda scheme: scheme.__name__,
)
def _versions(request, monkeypatch):
    # As REST framework has them from a project's settings, which it reads when it is imported.
    monkeypatch.setattr(request.param, "allowed_versions", ["v1"])
    monkeypatch.setattr(APIView, "versioning_class", request.param)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.usefixtures("_versions")
def test_endpoint_has_no_versions(call):
    make_signing_key()
    server = make_server()

    assert call(server, make_holder(server)).status_code == 200
