from __future__ import annotations

import pytest

from apikeys.resource_server import IntrospectionAuthentication

from .test_openapi import HEADER, KEY, operation_of, view


class Derived(IntrospectionAuthentication):
    """A project's own."""


@pytest.mark.parametrize("authentication", [IntrospectionAuthentication, Derived])
def test_a_schema_names_where_a_key_may_stand(authentication):
    operation = operation_of(view(authentication_classes=[authentication]))

    assert operation["security"] == [KEY, HEADER]
    assert operation["x-required-scopes"] == [["todo:read"]]
