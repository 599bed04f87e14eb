from __future__ import annotations

from urllib.parse import quote

import pytest

from apikeys.core import keyformat
from apikeys.core.credentials import RequestParts
from apikeys.core.errors import AmbiguousCredentialError, KeyInQueryError, MalformedKeyError
from apikeys.core.schemes import SOURCES, KeyScheme

PLAINTEXT = keyformat.generate(prefix="ak", mode="live").tagged(bytes(32))


def read(headers, *, query_string="", sources=SOURCES):
    return KeyScheme(prefix="ak", sources=sources).read(RequestParts(headers=headers, query_string=query_string))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": f"Bearer {PLAINTEXT}"}, id="bearer"),
        pytest.param({"authorization": f"bEARER   {PLAINTEXT} "}, id="bearer in any case"),
        pytest.param({"authorization": f"Api-Key {PLAINTEXT}"}, id="api-key"),
        pytest.param({"x-api-key": PLAINTEXT}, id="x-api-key"),
        pytest.param({"x-api-key": PLAINTEXT, "authorization": "Bearer someone.elses.token"}, id="beside a token"),
    ],
)
def test_a_key_is_read_from_each_source(headers):
    credential = read(headers)

    assert credential.key_text.plaintext == PLAINTEXT
    assert credential.proof.text == credential.key_text.text


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"authorization": ""}, id="empty"),
        pytest.param({"authorization": "Bearer"}, id="scheme alone"),
        pytest.param({"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, id="a JWT"),
        pytest.param({"authorization": "Bearer akx"}, id="almost our prefix"),
        pytest.param({"authorization": f"Basic {PLAINTEXT}"}, id="another scheme"),
        pytest.param({"authorization": f"X-API-Key {PLAINTEXT}"}, id="a header's name as scheme"),
        pytest.param({"authorization": PLAINTEXT}, id="no scheme"),
    ],
)
def test_what_is_not_ours_is_left_to_others(headers):
    assert read(headers) is None


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_that_is_switched_off_is_not_read(source):
    headers = {
        "bearer": {"authorization": f"Bearer {PLAINTEXT}"},
        "api-key": {"authorization": f"Api-Key {PLAINTEXT}"},
        "x-api-key": {"x-api-key": PLAINTEXT},
    }[source]

    assert read(headers, sources=[name for name in SOURCES if name != source]) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": f"Bearer {PLAINTEXT}", "x-api-key": PLAINTEXT}, id="two sources"),
        pytest.param({"authorization": f"Bearer {PLAINTEXT}, Bearer {PLAINTEXT}"}, id="repeated"),
        pytest.param({"authorization": f"Bearer {PLAINTEXT},{PLAINTEXT}"}, id="joined"),
        pytest.param({"authorization": f"Basic abc, Bearer {PLAINTEXT}"}, id="behind somebody else's"),
        pytest.param({"x-api-key": f"{PLAINTEXT}, {PLAINTEXT}"}, id="custom header repeated"),
    ],
)
def test_two_credentials_are_ambiguous(headers):
    with pytest.raises(AmbiguousCredentialError):
        read(headers)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": "Bearer ak_"}, id="prefix alone"),
        pytest.param({"authorization": "Api-Key"}, id="empty api-key"),
        pytest.param({"x-api-key": ""}, id="empty custom header"),
        pytest.param({"x-api-key": "no key of any kind"}, id="foreign text"),
    ],
)
def test_what_claims_to_be_ours_and_is_not_whole_is_malformed(headers):
    with pytest.raises(MalformedKeyError):
        read(headers)


@pytest.mark.parametrize(
    "query_string",
    [
        pytest.param(f"api_key={PLAINTEXT}", id="plain"),
        pytest.param(f"a=b&k={quote(PLAINTEXT).replace('_', '%5F')}", id="percent-encoded"),
        pytest.param(f"q=text%20{PLAINTEXT}", id="inside other text"),
        pytest.param(f"k={PLAINTEXT}x", id="run on"),
    ],
)
def test_a_key_in_the_address_is_refused(query_string):
    with pytest.raises(KeyInQueryError):
        read({}, query_string=query_string)


def test_a_whole_key_in_the_address_is_handed_on_for_its_event():
    with pytest.raises(KeyInQueryError) as caught:
        read({}, query_string=f"k={PLAINTEXT}")

    assert caught.value.key_text.plaintext == PLAINTEXT


@pytest.mark.parametrize("query_string", ["", "q=bak_ed", "q=ak_live_", "q=100%25", "q=%E4%FF"])
def test_other_addresses_pass(query_string):
    assert read({}, query_string=query_string) is None
