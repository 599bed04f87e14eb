from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apikeys import tag_secrets
from apikeys.core import keyformat
from apikeys.testing import ApiKeyClient, make_key

from .request_path import WHOAMI, CountingHasher, code_of, statements, whoami, with_right_tag, wsgi_request

pytestmark = pytest.mark.django_db

#: The database of a test outlives the examples, which change nothing in it.
on_one_key = hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
PREFIX_LENGTH = len("ak_")
SOURCES = {"bearer": ("HTTP_AUTHORIZATION", "Bearer "), "api-key": ("HTTP_AUTHORIZATION", "Api-Key ")} | {
    "x-api-key": ("HTTP_X_API_KEY", "")
}
sources = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


@pytest.fixture
def hasher(settings):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"]}
    return CountingHasher.start()


@pytest.fixture
def issued():
    return make_key()


@pytest.fixture
def plaintext(issued):
    return issued.plaintext


@pytest.fixture
def cheaply_refused(hasher, issued):
    """Assert 401 at no cost. A re-read of the tag secrets is allowed every five seconds."""
    whoami(issued)
    hasher.start()
    began = time.monotonic()
    rereads = [0]

    def check(text, *, codes=("key_invalid", "key_malformed")):
        with statements() as sql:
            response = whoami(text)
        rereads[0] += sum("apikeys_tagsecret" in statement for statement in sql)
        assert response.status_code == 401
        assert response.json()["code"] in codes
        assert [statement for statement in sql if "apikeys_tagsecret" not in statement] == []
        assert rereads[0] <= 1 + (time.monotonic() - began) / 5
        assert hasher.checks == []

    return check


@on_one_key
@given(prefix=st.from_regex(r"[0-9A-Za-z]{1,16}", fullmatch=True), mode=st.sampled_from(keyformat.MODES))
def test_a_generated_key_is_read_back_in_its_parts(prefix, mode):
    tag_secret = keyformat.new_tag_secret()
    new = keyformat.generate(prefix=prefix, mode=mode)

    plaintext = new.tagged(tag_secret)

    key_text = keyformat.parse(plaintext, prefix=prefix)
    assert (key_text.mode, key_text.key_id, key_text.text) == (mode, new.key_id, new.body)
    assert key_text.plaintext == plaintext
    assert len(plaintext) == len(prefix) + 70
    assert key_text.is_tagged_by([keyformat.new_tag_secret(), tag_secret])


@pytest.mark.parametrize("prefix", ["ak", "PiedPiper2"])
def test_an_issued_key_is_taken_as_it_was_shown(settings, prefix):
    settings.APIKEYS = {**settings.APIKEYS, "PREFIX": prefix}
    issued = make_key()

    response = whoami(issued)

    assert issued.plaintext.startswith(f"{prefix}_live_")
    assert response.json()["key_id"] == issued.key.key_id


@on_one_key
@given(data=st.data())
def test_every_changed_character_is_refused_at_no_cost(cheaply_refused, plaintext, data):
    position = data.draw(st.integers(PREFIX_LENGTH, len(plaintext) - 1))
    other = data.draw(st.sampled_from(keyformat.ALPHABET + "_-. é"))
    assume(other != plaintext[position])

    cheaply_refused(plaintext[:position] + other + plaintext[position + 1 :])


def test_a_change_at_every_position_is_refused_at_no_cost(cheaply_refused, plaintext):
    for position in range(PREFIX_LENGTH, len(plaintext)):
        other = "x" if plaintext[position] != "x" else "y"
        cheaply_refused(plaintext[:position] + other + plaintext[position + 1 :])


def test_every_truncation_is_refused_at_no_cost(cheaply_refused, plaintext):
    for length in range(PREFIX_LENGTH, len(plaintext)):
        cheaply_refused(plaintext[:length], codes=["key_malformed"])


def test_the_changed_case_of_every_letter_is_refused_at_no_cost(cheaply_refused, plaintext):
    for position in range(PREFIX_LENGTH, len(plaintext)):
        if plaintext[position].isalpha():
            cheaply_refused(plaintext[:position] + plaintext[position].swapcase() + plaintext[position + 1 :])


@on_one_key
@given(data=st.data())
def test_two_different_characters_swapped_are_refused_at_no_cost(cheaply_refused, plaintext, data):
    first, second = sorted(data.draw(st.sets(st.integers(PREFIX_LENGTH, len(plaintext) - 1), min_size=2, max_size=2)))
    assume(plaintext[first] != plaintext[second])
    letters = list(plaintext)
    letters[first], letters[second] = letters[second], letters[first]

    cheaply_refused("".join(letters))


def test_neighbours_swapped_are_refused_at_no_cost(cheaply_refused, plaintext):
    for first, (left, right) in enumerate(itertools.pairwise(plaintext)):
        if first >= PREFIX_LENGTH and left != right:
            cheaply_refused(plaintext[:first] + right + left + plaintext[first + 2 :])


@pytest.mark.parametrize("prefix", ["ax", "ka", "AK", "a", "akk", ""])
def test_a_changed_prefix_is_not_ours(prefix):
    plaintext = make_key().plaintext

    response = whoami(f"{prefix}_{plaintext[PREFIX_LENGTH:]}")

    assert response.status_code == 401
    assert response.json()["code"] == "key_missing"


@pytest.mark.parametrize("suffix", ["0", "\t0", "=", "%20", "…"])
def test_a_key_with_more_behind_it_is_no_whole_key(suffix):
    response = ApiKeyClient().get(WHOAMI, HTTP_X_API_KEY=make_key().plaintext + suffix)

    assert response.json()["code"] == "key_malformed"


@sources
def test_a_key_is_taken_from_every_source(source):
    variable, word = source
    issued = make_key()

    response = wsgi_request(**{variable: word + issued.plaintext})

    assert response.status_code == 200
    assert response.json()["key_id"] == issued.key.key_id


@pytest.mark.parametrize("word", ["bearer ", "BEARER ", "Bearer   ", " Bearer ", "api-key ", "API-KEY "])
def test_the_word_before_a_key_may_be_written_in_any_case_and_with_spaces(word):
    assert wsgi_request(HTTP_AUTHORIZATION=word + make_key().plaintext + " ").status_code == 200


@sources
@pytest.mark.parametrize(
    ("left", "taken"),
    [(["bearer"], "Bearer "), (["api-key"], "Api-Key "), (["x-api-key"], "")],
    ids=["bearer", "api-key", "x-api-key"],
)
def test_a_source_that_is_not_set_is_not_read(settings, source, left, taken):
    settings.APIKEYS = {**settings.APIKEYS, "CREDENTIAL_SOURCES": left}
    variable, word = source

    response = wsgi_request(**{variable: word + make_key().plaintext})

    assert (response.status_code == 200) is (word == taken)


#: As bytes on the wire. What is made of ``KEY`` stands beside a whole, working key.
BAD_VALUES = {
    "not UTF-8": b"ak_\xff\xfe\x80",
    "UTF-8 beyond ASCII": "ak_live_Ünïcödé".encode(),
    "a lone surrogate in UTF-8": b"ak_live_\xed\xa0\x80",
    "10 kB": b"ak_live_" + b"a" * 10_000,
    "10 kB of separators": b"ak_" * 3_400,
    "NUL alone": b"ak_\x00",
    "NUL in a key": b"KEY\x00",
    "NUL inside a key of the right length": b"NUL-KEY",
    "prefix alone": b"ak_",
    "control characters": b"ak_live_\x01\x02\x7f",
    "key twice": b"KEYKEY",
    "key and key": b"KEY KEY",
    "comma": b"KEY,",
    "comma-joined": b"KEY,KEY",
    "comma-joined with space": b"KEY, KEY",
    "comma and other word": b"KEY, Bearer KEY",
    "line feed folded": b"KEY\n KEY",
    "digits that are not ASCII": "ak_live_٠١٢٣٤٥٦٧٨٩٠١_".encode().ljust(72, b"0"),
}


@sources
@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_header_of_bad_bytes_is_refused_with_a_body(source, value):
    variable, word = source
    plaintext = make_key().plaintext
    nul_inside = plaintext[:20] + "\0" + plaintext[21:]
    value = value.replace(b"NUL-KEY", nul_inside.encode()).replace(b"KEY", plaintext.encode())

    response = wsgi_request(**{variable: word + value.decode("latin-1")})

    assert response.status_code in {400, 401}
    assert response.json()["code"] in {"invalid_request", "key_malformed", "key_invalid"}
    assert plaintext.encode() not in response.content


@sources
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=st.binary(max_size=200))
def test_no_header_whatever_its_bytes_is_a_fault_of_the_server(source, value):
    variable, word = source

    response = wsgi_request(**{variable: f"{word}ak_{value.decode('latin-1')}"})

    assert response.status_code in {400, 401}
    assert response.json()["code"]


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=st.text(alphabet=st.characters(categories=["Cs", "Cc", "L"]), max_size=20))
def test_no_header_whatever_its_characters_is_a_fault_of_the_server(value):
    # Not what a server hands on, but a gateway that decodes by itself might.
    response = wsgi_request(HTTP_AUTHORIZATION=f"Bearer ak_{value}", HTTP_X_API_KEY=value)

    assert response.json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"HTTP_AUTHORIZATION": ""}, "key_missing"),
        ({"HTTP_AUTHORIZATION": " "}, "key_missing"),
        ({"HTTP_AUTHORIZATION": "Bearer"}, "key_missing"),
        ({"HTTP_AUTHORIZATION": "Bearer "}, "key_missing"),
        ({"HTTP_AUTHORIZATION": "Api-Key"}, "key_malformed"),
        ({"HTTP_AUTHORIZATION": "Api-Key "}, "key_malformed"),
        ({"HTTP_X_API_KEY": ""}, "key_malformed"),
        ({"HTTP_X_API_KEY": " "}, "key_malformed"),
    ],
    ids=str,
)
def test_an_empty_header_is_refused_with_a_body(environ, code):
    response = wsgi_request(**environ)

    assert response.status_code == 401
    assert response.json()["code"] == code


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_AUTHORIZATION": "Bearer KEY", "HTTP_X_API_KEY": "KEY"},
        {"HTTP_AUTHORIZATION": "Api-Key KEY", "HTTP_X_API_KEY": "KEY"},
        {"HTTP_AUTHORIZATION": "Bearer KEY", "HTTP_X_API_KEY": ""},
        {"HTTP_AUTHORIZATION": "Bearer KEY,Bearer KEY"},
        {"HTTP_AUTHORIZATION": "Basic dTpw,Bearer KEY"},
        {"HTTP_AUTHORIZATION": "Bearer eyJhbGciOi, Bearer KEY"},
        {"HTTP_X_API_KEY": "KEY,KEY"},
    ],
    ids=str,
)
def test_two_credentials_are_a_bad_request(environ):
    plaintext = make_key().plaintext

    response = wsgi_request(**{name: value.replace("KEY", plaintext) for name, value in environ.items()})

    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic dTpw",
        "Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
        "Digest realm=ak_",
        "Token ak_live_x",
        "ak_live_x",
        "Bearer",
    ],
)
@pytest.mark.urls("tests.request_path_urls")
def test_a_credential_of_somebody_else_is_left_alone(authorization):
    response = wsgi_request("/open/", HTTP_AUTHORIZATION=authorization)

    assert response.json() == {"anonymous": True}


@pytest.mark.parametrize("value", ["ak_live_x", "ak_"])
@pytest.mark.urls("tests.request_path_urls")
def test_a_bad_key_is_refused_where_anybody_may_come_in(value):
    response = wsgi_request("/open/", HTTP_AUTHORIZATION=f"Bearer {value}")

    assert response.status_code == 401


def test_wrong_tag_unknown_id_and_wrong_secret_are_one_answer(hasher):
    issued = make_key()
    wrong_tag = issued.plaintext[:-1] + ("x" if issued.plaintext[-1] != "x" else "y")
    unknown_id, wrong_secret = with_right_tag("0" * 12), with_right_tag(issued.key.key_id)

    answers = [wsgi_request(HTTP_AUTHORIZATION=f"Bearer {text}") for text in (wrong_tag, unknown_id, wrong_secret)]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


def test_a_refused_key_is_known_again_once_it_is_sent_right():
    issued = make_key()
    whoami(issued.plaintext[:-1] + "-")

    response = whoami(issued)

    assert code_of(response) is None
    assert tag_secrets.admits(keyformat.parse(issued.plaintext, prefix="ak"))
