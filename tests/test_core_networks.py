from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core.errors import NetworkSyntaxError
from apikeys.core.networks import allows, normalise_networks, parse_address, parse_network


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        pytest.param(["10.0.0.0/8"], "10.1.2.3", True, id="inside"),
        pytest.param(["10.0.0.0/8"], "11.0.0.0", False, id="outside"),
        pytest.param(["192.0.2.7"], "192.0.2.7", True, id="a single address"),
        pytest.param(["192.0.2.7"], "192.0.2.8", False, id="its neighbour"),
        pytest.param(["2001:db8::/32"], "2001:db8::1", True, id="IPv6"),
        pytest.param(["2001:db8::/32"], "2001:db9::1", False, id="IPv6 outside"),
        pytest.param(["10.0.0.0/8"], "::ffff:10.1.2.3", True, id="IPv4 mapped into IPv6"),
        pytest.param(["::ffff:10.0.0.0/104"], "10.1.2.3", True, id="a mapped network"),
        pytest.param(["::/0"], "10.1.2.3", False, id="all of IPv6 is no IPv4"),
        pytest.param(["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", True, id="the second of two"),
        pytest.param(["10.0.0"], "10.0.0.1", False, id="an unreadable network"),
        pytest.param([], "10.0.0.1", False, id="an empty list"),
        pytest.param(None, "10.0.0.1", True, id="no restriction"),
    ],
)
def test_an_address_is_allowed_exactly_where_a_network_holds_it(networks, address, allowed):
    assert allows(networks, parse_address(address)) is allowed


def test_an_unknown_address_is_in_no_network():
    assert not allows(["0.0.0.0/0", "::/0"], None)


def test_an_unknown_address_is_allowed_where_nothing_is_restricted():
    assert allows(None, None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param(" 192.0.2.1 ", "192.0.2.1", id="space"),
        pytest.param("192.0.2.1:8080", "192.0.2.1", id="IPv4 with port"),
        pytest.param("[2001:db8::1]:443", "2001:db8::1", id="IPv6 with port"),
        pytest.param("2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="mapped"),
    ],
)
def test_an_address_is_read_as_proxies_write_it(text, address):
    assert parse_address(text) == ip_address(address)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_none(text):
    address = parse_address(text)

    assert address is None or parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "10.0.0", "10.0.0.1/8", "[::1"[:1], "1.2.3.4.5"])
def test_what_is_no_address_gives_none(text):
    assert parse_address(text) is None


def test_networks_are_stored_in_their_usual_writing_once_each():
    lines = [" 10.1.2.3/8 ", "", "10.0.0.0/8", "2001:DB8::/32", "192.0.2.1", "::ffff:192.0.2.0/120"]

    assert normalise_networks(lines) == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32", "192.0.2.0/24"]


def test_a_bad_line_is_refused_with_its_number():
    with pytest.raises(NetworkSyntaxError, match=r"Line 2: '10\.0\.0' is not an IP address or network\.") as caught:
        normalise_networks(["10.0.0.0/8", "10.0.0"])

    assert (caught.value.line, caught.value.text) == (2, "10.0.0")


def test_a_network_that_is_only_partly_mapped_stays_ipv6():
    assert str(parse_network("::ffff:0:0/95")) == "::fffe:0:0/95"
