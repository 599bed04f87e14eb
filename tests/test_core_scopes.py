from __future__ import annotations

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core.errors import ScopeSyntaxError, UndeclaredScopeError
from apikeys.core.scopes import Scope, ScopeRegistry, as_names, is_scope_name, scope_from_declaration

REGISTRY = ScopeRegistry(
    [
        scope_from_declaration("todo:read", {"resource": "To-dos", "label": "Read", "text": "View to-dos."}),
        scope_from_declaration("todo:write", {"resource": "To-dos", "label": "Write", "text": "Change to-dos."}),
        scope_from_declaration("usage:read", "Read usage numbers"),
    ]
)


@given(st.text(max_size=5))
def test_a_scope_name_is_a_scope_token_of_rfc_6749(name):
    allowed = {chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))}

    assert is_scope_name(name) is (bool(name) and set(name) <= allowed)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param('todo"read', id="quote"),
        pytest.param("todo\\read", id="backslash"),
        pytest.param("todo read", id="space"),
        pytest.param("", id="empty"),
        pytest.param("a" * 101, id="too long"),
        pytest.param(7, id="number"),
    ],
)
def test_a_scope_with_another_name_is_refused(name):
    with pytest.raises(ScopeSyntaxError):
        scope_from_declaration(name, "Read")


def test_a_sentence_is_the_short_form_of_a_scope():
    assert scope_from_declaration("usage:read", "Read usage numbers") == Scope(
        name="usage:read", resource="usage", label="Read usage numbers", text="Read usage numbers"
    )


def test_a_dict_is_the_long_form_of_a_scope():
    declaration = {
        "resource": "To-dos",
        "label": "Change",
        "text": "Change to-dos.",
        "sensitive": True,
        "permissions": ["todo.change_todo"],
    }

    assert scope_from_declaration("todo:write", declaration) == Scope(
        name="todo:write",
        resource="To-dos",
        label="Change",
        text="Change to-dos.",
        sensitive=True,
        permissions=("todo.change_todo",),
    )


def test_a_translation_stands_for_a_sentence_and_stays_lazy():
    scope = scope_from_declaration("usage:read", gettext_lazy("Expired"))

    assert type(scope.text) is not str
    assert str(scope.text) == "Expired"


@pytest.mark.parametrize(
    "declaration",
    [
        pytest.param(None, id="none"),
        pytest.param(["Read"], id="list"),
        pytest.param(True, id="boolean"),
        pytest.param({"lable": "Read"}, id="unknown member"),
        pytest.param({"permissions": "todo.change_todo"}, id="permissions as text"),
        pytest.param({"permissions": [7]}, id="permissions that are no names"),
    ],
)
def test_a_declaration_of_another_shape_is_refused(declaration):
    with pytest.raises(ScopeSyntaxError):
        scope_from_declaration("todo:read", declaration)


def test_a_scope_declared_twice_is_refused():
    with pytest.raises(ScopeSyntaxError, match="declared twice"):
        ScopeRegistry([REGISTRY["todo:read"], REGISTRY["todo:read"]])


def test_scopes_are_required_in_the_order_of_their_declaration_and_once():
    assert REGISTRY.require(["usage:read", "todo:read", "usage:read"]) == ["todo:read", "usage:read"]


def test_an_undeclared_scope_is_refused_with_what_was_meant():
    with pytest.raises(
        UndeclaredScopeError, match=r"'todo:raed' is not declared\. Did you mean 'todo:read'\?"
    ) as caught:
        REGISTRY.require(["todo:raed"])

    assert caught.value.names == ("todo:raed",)


def test_an_undeclared_scope_like_no_other_is_refused_without_a_guess():
    with pytest.raises(UndeclaredScopeError, match=r"^Scope 'zzz' is not declared\.$"):
        REGISTRY.require(["zzz"])


def test_scopes_stand_together_by_resource_in_the_order_of_declaration():
    grouped = {resource: [scope.name for scope in scopes] for resource, scopes in REGISTRY.by_resource().items()}

    assert grouped == {"To-dos": ["todo:read", "todo:write"], "usage": ["usage:read"]}


def test_only_the_apps_own_scopes_are_reserved():
    assert scope_from_declaration("apikeys:introspect", "Ask about keys").is_reserved
    assert not REGISTRY["todo:read"].is_reserved


def test_the_registry_counts_and_lists_its_scopes():
    assert len(REGISTRY) == 3
    assert list(REGISTRY) == ["todo:read", "todo:write", "usage:read"]


@pytest.mark.parametrize(
    ("given_", "names"),
    [
        pytest.param("todo:read", ("todo:read",), id="one text"),
        pytest.param(["a", "b"], ("a", "b"), id="list"),
        pytest.param(("a", "b"), ("a", "b"), id="tuple"),
        pytest.param((), (), id="nothing"),
    ],
)
def test_one_text_is_one_name_and_lists_and_tuples_mean_the_same(given_, names):
    assert as_names(given_) == names
