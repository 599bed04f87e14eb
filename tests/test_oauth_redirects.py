from __future__ import annotations

import pytest

from apikeys.core.errors import RedirectRefusedError
from apikeys.oauth.redirects import MOST_REDIRECTS, clean_redirects

USE_HTTPS = "Use https. Only 127.0.0.1, [::1] and localhost may use http."


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://app.example/callback", id="https"),
        pytest.param("https://app.example", id="without-a-path"),
        pytest.param("https://app.example:8443/callback", id="port"),
        pytest.param("https://app.example/callback?from=a&to=b", id="query"),
        pytest.param("https://xn--bcher-kva.example/callback", id="punycode"),
        pytest.param("https://[2001:db8::1]/callback", id="ipv6"),
        pytest.param("https://app.example/a..b/.well-known/c", id="dots-within-names"),
        pytest.param("http://127.0.0.1/callback", id="loopback"),
        pytest.param("http://127.0.0.1:49152/callback", id="loopback-with-port"),
        pytest.param("http://[::1]:49152/callback", id="ipv6-loopback"),
        pytest.param("http://localhost:8000/callback", id="localhost"),
    ],
)
def test_address_may_be_registered(address):
    assert clean_redirects([address], is_public=False) == [address]


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://app.example/callback", id="plain-http"),
        pytest.param("http://127.0.0.1.app.example/callback", id="loopback-as-a-label"),
        pytest.param("http://127.0.0.2/callback", id="another-loopback-address"),
        pytest.param("http://127.1/callback", id="short-loopback"),
        pytest.param("http://localhost.example/callback", id="localhost-as-a-label"),
        pytest.param("http://[::ffff:127.0.0.1]/callback", id="mapped-loopback"),
    ],
)
def test_http_is_for_loopback_alone(address):
    with pytest.raises(RedirectRefusedError) as caught:
        clean_redirects([address], is_public=False)

    assert str(caught.value) == USE_HTTPS
    assert caught.value.text == address


@pytest.mark.parametrize("is_public", [False, True], ids=["with-secret", "without-secret"])
@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://app.example/callback#here", id="fragment"),
        pytest.param("https://app.example/callback#", id="empty-fragment"),
        pytest.param("https://app.example@evil.example/callback", id="user-name"),
        pytest.param("http://localhost@evil.example/callback", id="loopback-as-user-name"),
        pytest.param("https://*.app.example/callback", id="wildcard-host"),
        pytest.param("https://app.example/*", id="wildcard-path"),
        pytest.param("https://app.example/a/../callback", id="dot-segment"),
        pytest.param("https://app.example/a/%2e%2E/callback", id="escaped-dot-segment"),
        pytest.param("https://app.example/a/..%5Ccallback", id="escaped-backslash"),
        pytest.param("https://app.example\\@evil.example/callback", id="backslash"),
        pytest.param("https://app.example/call back", id="space"),
        pytest.param("https://app.example/call\tback", id="tab"),
        pytest.param("https://app.example/call\x00back", id="nul"),
        pytest.param("https://b\u00fccher.example/callback", id="idn"),
        pytest.param("https://app.example/%zz", id="half-an-escape"),
        pytest.param("https:///callback", id="no-host"),
        pytest.param("https:/app.example/callback", id="one-slash"),
        pytest.param("https://app.example:/callback", id="empty-port"),
        pytest.param("https://app.example:0/callback", id="port-zero"),
        pytest.param("https://app.example:65536/callback", id="port-too-high"),
        pytest.param("https://app.example:eighty/callback", id="port-of-letters"),
        pytest.param("https://app..example/callback", id="empty-label"),
        pytest.param("https://-app.example/callback", id="leading-hyphen"),
        pytest.param("https://[app.example/callback", id="open-bracket"),
        pytest.param("//app.example/callback", id="no-scheme"),
        pytest.param("/callback", id="path-alone"),
        pytest.param("HTTPS://app.example/callback", id="capital-scheme"),
        pytest.param("ftp://app.example/callback", id="other-scheme"),
        pytest.param("javascript:alert(1)", id="script"),
        pytest.param("data:text/html,hello", id="data"),
        pytest.param("callback:/here", id="scheme-without-dot"),
        pytest.param("com.example.app://callback", id="private-scheme-with-two-slashes"),
        pytest.param("com.example.app:callback", id="private-scheme-without-slash"),
        pytest.param(f"https://app.example/{'a' * 1000}", id="too-long"),
    ],
)
def test_address_may_not_be_registered(address, is_public):
    with pytest.raises(RedirectRefusedError):
        clean_redirects([address], is_public=is_public)


def test_app_without_a_secret_may_have_a_scheme_of_its_own():
    assert clean_redirects(["com.example.app:/callback"], is_public=True) == ["com.example.app:/callback"]


def test_app_with_a_secret_may_not_have_a_scheme_of_its_own():
    with pytest.raises(RedirectRefusedError):
        clean_redirects(["com.example.app:/callback"], is_public=False)


def test_empty_lines_and_repetition_are_left_out():
    lines = [" https://app.example/a ", "", "https://app.example/b", "https://app.example/a"]

    assert clean_redirects(lines, is_public=False) == ["https://app.example/a", "https://app.example/b"]


@pytest.mark.parametrize(
    ("number", "is_taken"),
    [pytest.param(MOST_REDIRECTS, True, id="most"), pytest.param(MOST_REDIRECTS + 1, False, id="too-many")],
)
def test_number_of_addresses_is_bounded(number, is_taken):
    lines = [f"https://app.example/{count}" for count in range(number)]

    try:
        found = clean_redirects(lines, is_public=False)
    except RedirectRefusedError:
        found = []

    assert bool(found) is is_taken
