from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core.claim_names import TAKEN, may_be_declared
from apikeys.core.claims import Claim, claim_from_declaration, counting, readable, visible
from apikeys.core.errors import ClaimSyntaxError

from .claims import CLAIMS, SHARING

DECLARED = readable(CLAIMS)
OTHER = "https://summaries.example.com"
REGISTERED = {
    "RFC 7519": "iss sub aud exp nbf iat jti",
    "RFC 7662": "active scope client_id username token_type exp iat nbf sub aud iss jti",
    "RFC 8693": "act may_act scope client_id audience resource subject_token actor_token requested_token_type",
    "RFC 8705": "cnf",
    "RFC 9068": "iss exp aud sub client_id iat jti auth_time acr amr scope groups roles entitlements",
    "OpenID Connect": "name given_name email email_verified phone_number picture azp nonce at_hash c_hash updated_at",
    "the authority": "key_id family networks kind client_name",
}


@pytest.mark.parametrize("names", REGISTERED.values(), ids=REGISTERED)
def test_what_has_a_meaning_in_tokens_can_not_be_declared(names):
    for name in names.split():
        with pytest.raises(ClaimSyntaxError, match="means something in tokens already"):
            claim_from_declaration(name, "text")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("Subscription", id="capital"),
        pytest.param("_sd", id="underscore first"),
        pytest.param("2fa", id="digit first"),
        pytest.param("https://example.com/plan", id="address"),
        pytest.param("plan\n", id="line end"),
        pytest.param("größe", id="not ASCII"),
        pytest.param("a" * 65, id="too long"),
        pytest.param(7, id="number"),
        pytest.param(None, id="none"),
    ],
)
def test_what_is_no_name_can_not_be_declared(name):
    with pytest.raises(ClaimSyntaxError, match="is not the name of a claim"):
        claim_from_declaration(name, "text")


def test_a_name_has_at_most_64_letters():
    assert claim_from_declaration("a" * 64, "text").name == "a" * 64


def test_a_type_is_the_short_form_of_a_claim():
    assert claim_from_declaration("seats", "integer") == Claim(name="seats", kind="integer", label="Seats")


def test_a_claim_is_called_by_its_name_unless_it_has_a_label():
    assert claim_from_declaration("billing_plan", "text").label == "Billing plan"


def test_a_dict_is_the_long_form_of_a_claim():
    assert claim_from_declaration("subscription", CLAIMS["subscription"]) == Claim(
        name="subscription",
        kind="text",
        choices=("free", "premium"),
        visible_to=None,
        label="Subscription",
        text="What they pay for.",
    )


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        pytest.param("string", "has the type 'string'", id="unknown type"),
        pytest.param({}, "has the type None", id="no type"),
        pytest.param({"type": ["text"]}, "has the type", id="list of types"),
        pytest.param(None, "needs a type or a dict", id="nothing"),
        pytest.param(["text"], "needs a type or a dict", id="list"),
        pytest.param({"type": "text", "choice": ["a"]}, "unknown members: choice", id="misspelt member"),
        pytest.param({"type": "text", "choices": "free"}, "choices must be a list", id="choices as text"),
        pytest.param({"type": "text", "choices": [1]}, "can't be 1", id="choice of another type"),
        pytest.param({"type": "integer", "choices": [True]}, "can't be True", id="boolean among numbers"),
        pytest.param({"type": "boolean", "choices": [True]}, "no other choices", id="choices of a boolean"),
        pytest.param({"type": "text", "visible_to": "server"}, "visible_to must be", id="misspelt readers"),
        pytest.param({"type": "text", "visible_to": SHARING}, "visible_to must be", id="one reader as text"),
        pytest.param({"type": "text", "visible_to": [""]}, "visible_to must be", id="reader without a name"),
        pytest.param({"type": "text", "visible_to": None}, "visible_to must be", id="readers as none"),
    ],
)
def test_a_declaration_that_can_not_be_read_is_refused(declaration, fault):
    with pytest.raises(ClaimSyntaxError, match=fault):
        claim_from_declaration("plan", declaration)


TAKES = [
    ("contract", "2026/7"),
    ("contract", "Straße 👩‍👩‍👧"),
    ("subscription", "premium"),
    ("seats", 0),
    ("seats", 2**53 - 1),
    ("seats", -(2**53) + 1),
    ("discount", 1),
    ("discount", 0.25),
    ("beta", True),
    ("beta", False),
    ("regions", ["eu", "us"]),
    ("regions", ("eu",)),
    ("plans", ["large", "small"]),
    ("tier", 2),
]
REFUSES = [
    ("contract", ""),
    ("contract", " 7"),
    ("contract", "a\nb"),
    ("contract", "a\x00b"),
    ("contract", "\ud800"),
    ("contract", "a\u202eb"),
    ("contract", 7),
    ("contract", None),
    ("contract", ["a"]),
    ("subscription", "gold"),
    ("subscription", "Premium"),
    ("seats", True),
    ("seats", 1.0),
    ("seats", "1"),
    ("seats", 2**53),
    ("seats", 10**4000),
    ("discount", float("nan")),
    ("discount", float("inf")),
    ("discount", -float("inf")),
    ("discount", True),
    ("discount", "0.25"),
    ("beta", 1),
    ("beta", "true"),
    ("regions", []),
    ("regions", "eu"),
    ("regions", ["eu", "eu"]),
    ("regions", ["eu", 7]),
    ("regions", [["eu"]]),
    ("regions", {"eu": 1}),
    ("plans", ["huge"]),
    ("tier", 3),
    ("tier", True),
]


def _ids(cases):
    return [f"{name} {ascii(value)[:24]}" for name, value in cases]


@pytest.mark.parametrize(("name", "value"), TAKES, ids=_ids(TAKES))
def test_a_claim_takes_what_its_declaration_wants(name, value):
    assert DECLARED[name].takes(value)


@pytest.mark.parametrize(("name", "value"), REFUSES, ids=_ids(REFUSES))
def test_a_claim_takes_nothing_else(name, value):
    assert not DECLARED[name].takes(value)


_TEXT = st.text(max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(DECLARED)), _JSON)
def test_whatever_stands_in_the_database_counts_only_as_declared(name, value):
    counted = counting(DECLARED, {name: value})

    assert dict(counted) in ({}, {name: value})
    # As tokens and answers have to write it.
    json.dumps(dict(counted), allow_nan=False, ensure_ascii=False).encode()


def test_what_a_key_says_goes_before_what_its_client_says():
    counted = counting(DECLARED, {"subscription": "free", "seats": 3}, {"subscription": "premium"})

    assert counted == {"subscription": "premium", "seats": 3}


def test_what_is_declared_no_more_is_absent():
    assert counting(DECLARED, {"colour": "red", "seats": 3}) == {"seats": 3}


def test_what_a_key_says_and_may_no_longer_be_gives_no_way_to_its_client():
    assert counting(DECLARED, {"subscription": "premium"}, {"subscription": "trial"}) == {}


def test_what_counts_can_not_be_written_to():
    with pytest.raises(TypeError):
        counting(DECLARED, {"seats": 3})["seats"] = 300  # type: ignore[index]


@pytest.mark.parametrize(
    ("audience", "seen"),
    [
        pytest.param(SHARING, {"subscription": "free", "regions": ["eu"]}, id="named"),
        pytest.param(OTHER, {"subscription": "free"}, id="not named"),
        pytest.param("", {"subscription": "free"}, id="nobody"),
    ],
)
def test_an_audience_is_told_what_is_meant_for_it(audience, seen):
    claims = {"subscription": "free", "regions": ("eu",), "seats": 3}

    assert visible(claims, DECLARED, audience=audience) == seen


def test_a_claim_without_readers_leaves_this_site_in_no_way():
    assert not visible({"seats": 3}, DECLARED, audience=SHARING)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_no_audience_is_told_of_a_registered_name_however_it_came_to_be_declared(name):
    forced = {name: Claim(name=name, kind="text", visible_to=None)}

    assert visible({name: "admin"}, forced, audience=SHARING) == {}


def test_declarations_that_can_not_be_read_declare_nothing():
    assert readable({"sub": "text", "Seats": "integer", "plan": "string", "seats": "integer"}) == {
        "seats": DECLARED["seats"]
    }


@pytest.mark.parametrize("declarations", [None, [], "seats", 7], ids=repr)
def test_what_is_no_dict_declares_nothing(declarations):
    assert readable(declarations) == {}


def test_a_name_of_ones_own_may_be_declared():
    assert all(map(may_be_declared, CLAIMS))
