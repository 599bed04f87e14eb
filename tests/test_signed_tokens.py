from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core.claim_names import TAKEN, may_be_declared
from apikeys.core.errors import CredentialError, ExpiredTokenError, InvalidTokenError
from apikeys.signed import keys, tokens
from apikeys.signed.jws import payload_of
from tests.token_cases import AUDIENCE, ISSUER, JWKS, KEY, LEEWAY, NOW, OTHER_KEY, claims, header, signed

TRUSTED = keys.KeySet.from_jwks(JWKS)
TOKEN = tokens.SignedToken(
    issuer=ISSUER,
    audience=AUDIENCE,
    subject="user:7",
    client_id="client-1",
    issued_at=int(NOW.timestamp()),
    expires_at=int(NOW.timestamp()) + 600,
    jti="01J",
    scopes=("widgets:read", "widgets:write"),
    key_id="4Qm9ZtR1xVb7",
    family="4Qm9ZtR1xVb7",
    networks=(("192.0.2.0/24", "2001:db8::/32"), ()),
    claims={"subscription": "premium", "seats": 3},
)


def verify(text, *, now=NOW, leeway=LEEWAY, trusted=TRUSTED):
    return tokens.verify(text, keys=trusted, issuer=ISSUER, audience=AUDIENCE, now=now, leeway=leeway)


def decided(text):
    try:
        return verify(text)
    except CredentialError as error:
        return error.code


words = st.text("abcdefghijklmnopqrstuvwxyz0123456789:_-", min_size=1, max_size=40)
instants = st.integers(min_value=0, max_value=253_402_300_799)
said = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text(), max_size=3)


@given(
    subject=words,
    jti=words,
    issued_at=instants,
    scopes=st.lists(words, max_size=5, unique=True).map(tuple),
    key_id=words | st.just(""),
    networks=st.lists(st.sampled_from([(), ("10.0.0.0/8",), ("2001:db8::/32", "192.0.2.1/32")]), max_size=2).map(tuple),
    claims=st.dictionaries(words.filter(may_be_declared), said, max_size=5),
    not_before=st.none() | instants,
    key=st.sampled_from([KEY, OTHER_KEY]),
)
def test_what_is_signed_is_read_as_it_was(key, issued_at, not_before, **parts):
    end = max(issued_at, not_before or 0)
    token = replace(TOKEN, issued_at=issued_at, not_before=not_before, expires_at=end, **parts)

    read = verify(tokens.sign(token, key=key), now=datetime.fromtimestamp(end, tz=UTC))

    assert read == token


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_any_other_text_is_refused(text):
    assert decided(text) == "token_invalid"
    assert tokens.issuer_of(text) is None


@given(
    head=st.dictionaries(
        st.sampled_from(["typ", "alg", "kid", "crit", "jwk"]), said | st.sampled_from(["k1", "EdDSA"])
    ),
    payload=st.binary(max_size=50) | said.map(lambda value: json.dumps(value).encode()),
)
def test_what_the_trusted_key_signed_is_no_token_for_that(head, payload):
    assert decided(signed(payload, head={**header(), **head})) == "token_invalid"


@given(
    st.dictionaries(
        st.sampled_from([*claims(), "nbf", "key_id", "family", "networks", "cnf"]),
        st.recursive(said | st.floats(allow_nan=False, allow_infinity=False), lambda part: st.lists(part, max_size=2)),
        min_size=1,
    )
)
def test_odd_claims_are_decided_and_never_break_the_reader(changes):
    found = decided(signed(claims(**changes)))

    assert isinstance(found, tokens.SignedToken) or found in {"token_invalid", "token_expired"}


GOOD = tokens.sign(TOKEN, key=KEY)


@given(place=st.integers(0, len(GOOD) - 1), character=st.characters())
def test_a_token_with_another_character_is_refused(place, character):
    altered = GOOD[:place] + character + GOOD[place + 1 :]

    assert altered == GOOD or decided(altered) == "token_invalid"


@given(place=st.integers(0, len(GOOD)), length=st.integers(0, 5), more=st.text(max_size=5))
def test_a_token_with_more_or_less_in_it_is_refused(place, length, more):
    altered = GOOD[:place] + more + GOOD[place + length :]

    assert altered == GOOD or decided(altered) == "token_invalid"


def test_a_key_that_is_not_in_the_set_is_told_apart_so_that_it_can_be_fetched():
    with pytest.raises(tokens.UnknownSigningKeyError) as refused:
        verify(GOOD, trusted=keys.KeySet.of([OTHER_KEY.public_jwk()]))

    assert refused.value.code == "token_invalid"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param({"typ": "JWT"}, id="another type"),
        pytest.param({"crit": ["x"]}, id="a critical extension"),
        pytest.param({"kid": ""}, id="an empty kid"),
        pytest.param({"kid": 1}, id="a number as kid"),
    ],
)
def test_a_header_that_is_out_of_order_sends_nobody_for_keys(head):
    with pytest.raises(InvalidTokenError) as refused:
        verify(signed(head={**header(kid="unknown"), **head}))

    assert not isinstance(refused.value, tokens.UnknownSigningKeyError)


def test_an_expired_token_tells_when_and_of_whom():
    with pytest.raises(ExpiredTokenError) as refused:
        verify(GOOD, now=NOW + timedelta(seconds=630))

    error = refused.value
    assert (error.key_id, error.family, error.client_id) == (TOKEN.key_id, TOKEN.family, "client-1")
    assert error.at == NOW + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(-30.1, InvalidTokenError, id="before it was issued"),
        pytest.param(-30, None, id="within the leeway before"),
        pytest.param(629.9, None, id="within the leeway after"),
        pytest.param(630, ExpiredTokenError, id="past its end"),
    ],
)
def test_a_token_that_was_verified_before_must_still_count(seconds, expected):
    now = NOW + timedelta(seconds=seconds)

    if expected is None:
        tokens.require_current(TOKEN, now=now, leeway=LEEWAY)
    else:
        with pytest.raises(expected):
            tokens.require_current(TOKEN, now=now, leeway=LEEWAY)


@pytest.mark.parametrize("name", sorted(TAKEN - {"aud", "scope", "networks"}))
def test_no_claim_takes_the_place_of_what_a_name_means(name):
    token = replace(TOKEN, key_id="", family="", claims={name: "x"})

    assert verify(tokens.sign(token, key=KEY)) == replace(token, claims={})


@pytest.mark.parametrize("name", ["sub", "username", "active", "kind", "Subscription", "sub-scription"])
def test_what_a_token_says_by_a_name_that_is_taken_or_no_name_is_no_claim(name):
    text = signed(claims(**{name: "x", "subscription": "premium"}))

    assert verify(text).claims == {"subscription": "premium"}


def test_a_token_without_networks_says_nothing_of_networks():
    token = replace(TOKEN, networks=(), key_id="", family="")

    payload = payload_of(tokens.sign(token, key=KEY))

    assert sorted(payload or {}) == sorted([*claims(), "subscription", "seats"])


def test_a_token_does_not_say_what_people_are_called():
    assert "username" not in payload_of(GOOD)


def test_a_scope_that_stands_there_twice_is_held_once():
    assert verify(signed(claims(scope="a b a"))).scopes == ("a", "b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(GOOD, True, id="a token"),
        pytest.param(signed(head=header(alg="none")).rpartition(".")[0] + ".", True, id="without a signature"),
        pytest.param(signed(b"no JSON"), True, id="of anything else"),
        pytest.param(f"{GOOD}{'A' * 10_000}", True, id="too long to be read"),
        pytest.param("4Qm9ZtR1xVb7", False, id="a word"),
        pytest.param("a.b.c", False, id="three words"),
        pytest.param("..", False, id="dots"),
        pytest.param(GOOD.rpartition(".")[0], False, id="two parts"),
        pytest.param(f"{GOOD}.{GOOD}", False, id="five parts"),
        pytest.param(f"{GOOD} ", True, id="space behind"),
        pytest.param(GOOD.replace(".", " .", 1), False, id="space in the header"),
        pytest.param(signed(head=b"[]"), False, id="a list as header"),
        pytest.param("A" * 10_000 + GOOD, False, id="a header too long to be read"),
    ],
)
def test_a_token_is_known_by_its_looks(text, expected):
    assert tokens.looks_signed(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(GOOD, ISSUER, id="a token"),
        pytest.param(signed(claims(iss="https://evil.example/")), "https://evil.example/", id="of another issuer"),
        pytest.param(signed(claims(iss=None)), None, id="of nobody"),
        pytest.param(signed(claims(iss=[ISSUER])), None, id="of a list"),
        pytest.param(signed(b"[]"), None, id="not of claims"),
        pytest.param(f"{GOOD}{'A' * 10_000}", None, id="too long"),
        pytest.param("word", None, id="no token"),
    ],
)
def test_a_token_says_whose_it_is(text, expected):
    assert tokens.issuer_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(GOOD, "k1", id="a token"),
        pytest.param(signed(head=header(kid="")), None, id="an empty kid"),
        pytest.param(signed(head=header(kid=1)), None, id="a number as kid"),
        pytest.param("word", None, id="no token"),
    ],
)
def test_a_token_says_by_which_key_it_is_signed(text, expected):
    assert tokens.kid_of(text) == expected
