"""The revocation list as it is signed, and read."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core.errors import InvalidTokenError
from apikeys.signed import keys, tokens
from apikeys.signed.revocations import read_list, sign_list
from tests.revocation_lists import AT, TOKEN, WINDOW, entry, listed
from tests.token_cases import AUDIENCE, ISSUER, JWKS, KEY, LEEWAY, NOW, OTHER_KEY, header, signed

TRUSTED = keys.KeySet.from_jwks(JWKS)


def read(text):
    return read_list(text, keys=TRUSTED, issuer=ISSUER, audience=AUDIENCE)


FULL = listed(
    entry("key", "4Qm9ZtR1xVb7", sequence=1),
    entry("key_until", "4Qm9ZtR1xVb7", AT + 60, sequence=2),
    entry("key_until", "4Qm9ZtR1xVb8", sequence=3),
    entry("key_scopes", "4Qm9ZtR1xVb7", ["widgets:read"], sequence=4),
    entry("client", "client-1", False, sequence=5),
    entry("client_scopes", "client-1", [], sequence=6),
    entry("token", "01J", sequence=7),
    entry("client_networks", "client-1", ["192.0.2.0/24"], sequence=8),
    since=3,
    following=5,
    owners=["user:7"],
    gone=["4Qm9ZtR1xVb7"],
)
PAYLOAD = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": AT,
    "since": 0,
    "next": 1,
    "window": WINDOW,
    "entries": [[1, AT, "key", "4Qm9ZtR1xVb7"]],
    "owners": [],
    "keys": [],
}
HEADER = header(typ="revocations+jwt")


@pytest.mark.parametrize("key", [pytest.param(KEY, id="EdDSA"), pytest.param(OTHER_KEY, id="ES256")])
def test_a_list_is_read_as_it_was_signed(key):
    assert read(sign_list(FULL, key=key)) == FULL


def test_a_list_of_many_entries_is_read():
    many = listed(*(entry("key", f"{number:012}", sequence=number) for number in range(20_000)))

    assert read(sign_list(many, key=KEY)) == many


def test_a_list_longer_than_anybody_needs_is_refused_before_it_is_read():
    text = sign_list(listed(owners=["user:" + "7" * 4_000_000]), key=KEY)

    with pytest.raises(InvalidTokenError):
        read(text)


def test_a_list_is_no_access_token_and_an_access_token_no_list():
    with pytest.raises(InvalidTokenError):
        tokens.verify(sign_list(FULL, key=KEY), keys=TRUSTED, issuer=ISSUER, audience=AUDIENCE, now=NOW, leeway=LEEWAY)
    with pytest.raises(InvalidTokenError):
        read(tokens.sign(TOKEN, key=KEY))


def test_a_list_by_a_key_that_is_not_in_the_set_is_told_apart():
    with pytest.raises(tokens.UnknownSigningKeyError):
        read_list(
            sign_list(FULL, key=KEY), keys=keys.KeySet.of([OTHER_KEY.public_jwk()]), issuer=ISSUER, audience=AUDIENCE
        )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(signed(PAYLOAD, head=header(typ="JWT")), id="another type"),
        pytest.param(signed(PAYLOAD, head=header(typ="application/revocations+jwt")), id="a type nobody writes"),
        pytest.param(signed(PAYLOAD, head={**HEADER, "alg": "none"}), id="alg none"),
        pytest.param(signed(PAYLOAD, head={**HEADER, "crit": ["x"]}), id="a critical extension"),
        pytest.param(signed(PAYLOAD, head=HEADER)[:-4], id="half a signature"),
        pytest.param("", id="nothing"),
        pytest.param(json.dumps(PAYLOAD), id="unsigned"),
    ],
)
def test_what_is_no_signed_list_is_refused(text):
    with pytest.raises(InvalidTokenError):
        read(text)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "https://evil.example/"}, id="of another issuer"),
        pytest.param({"iss": None}, id="of nobody"),
        pytest.param({"aud": "https://other.example/"}, id="for another server"),
        pytest.param({"aud": [AUDIENCE]}, id="for several"),
        pytest.param({"aud": None}, id="for nobody"),
        pytest.param({"iat": True}, id="iat true"),
        pytest.param({"iat": 1.5}, id="iat with a fraction"),
        pytest.param({"iat": "1"}, id="iat as text"),
        pytest.param({"since": -1}, id="since negative"),
        pytest.param({"since": None}, id="since null"),
        pytest.param({"next": "1"}, id="next as text"),
        pytest.param({"window": None}, id="window null"),
        pytest.param({"entries": {}}, id="entries as an object"),
        pytest.param({"entries": None}, id="entries null"),
        pytest.param({"owners": "user:7"}, id="owners as text"),
        pytest.param({"owners": [7]}, id="a number as owner"),
        pytest.param({"keys": [["4Qm9ZtR1xVb7"]]}, id="a list as key"),
    ],
)
def test_a_list_with_odd_members_is_refused(changes):
    with pytest.raises(InvalidTokenError):
        read(signed({**PAYLOAD, **changes}, head=HEADER))


@pytest.mark.parametrize("name", PAYLOAD)
def test_a_list_without_one_of_its_members_is_refused(name):
    with pytest.raises(InvalidTokenError):
        read(signed({key: value for key, value in PAYLOAD.items() if key != name}, head=HEADER))


@pytest.mark.parametrize(
    "told",
    [
        pytest.param("key", id="a text"),
        pytest.param([1, AT, "key"], id="no subject"),
        pytest.param([1, AT, "key", "k", None, None], id="more than a value"),
        pytest.param(["1", AT, "key", "k"], id="a text as sequence"),
        pytest.param([True, AT, "key", "k"], id="true as sequence"),
        pytest.param([1, 1.5, "key", "k"], id="an instant with a fraction"),
        pytest.param([1, AT, "key", 7], id="a number as subject"),
        pytest.param([1, AT, ["key"], "k"], id="a list as kind"),
        pytest.param([1, AT, "planet", "k"], id="an unknown kind"),
        pytest.param([1, AT, "key", "k", 1], id="key with a value"),
        pytest.param([1, AT, "token", "k", True], id="token with a value"),
        pytest.param([1, AT, "key_until", "k", "soon"], id="key_until as text"),
        pytest.param([1, AT, "key_until", "k", True], id="key_until true"),
        pytest.param([1, AT, "key_scopes", "k"], id="key_scopes without scopes"),
        pytest.param([1, AT, "key_scopes", "k", "a"], id="key_scopes as text"),
        pytest.param([1, AT, "key_scopes", "k", [1]], id="a number as scope"),
        pytest.param([1, AT, "client", "c"], id="client without state"),
        pytest.param([1, AT, "client", "c", 0], id="client with a number"),
        pytest.param([1, AT, "client_scopes", "c", None], id="client_scopes null"),
        pytest.param([1, AT, "client_networks", "c", "192.0.2.0/24"], id="client_networks as text"),
        pytest.param([1, AT, "client_networks", "c", ["home"]], id="no network in client_networks"),
    ],
)
def test_an_entry_that_is_not_understood_refuses_the_list(told):
    with pytest.raises(InvalidTokenError):
        read(signed({**PAYLOAD, "entries": [[1, AT, "key", "k"], told]}, head=HEADER))


@given(
    st.dictionaries(
        st.sampled_from(sorted(PAYLOAD)),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda part: st.lists(part, max_size=5)),
    )
)
def test_no_list_breaks_the_reader(changes):
    with suppress(InvalidTokenError):
        read(signed({**PAYLOAD, **changes}, head=HEADER))
