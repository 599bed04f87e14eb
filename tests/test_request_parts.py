from __future__ import annotations

import pytest

from apikeys import clients
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.testing import ApiKeyClient, make_key

from .request_path import WHOAMI, code_of, whoami, wsgi_request

pytestmark = pytest.mark.django_db

PROXY = "10.0.0.1"
OUTSIDE = "198.51.100.7"


def set_apikeys(settings, **changed):
    settings.APIKEYS = {**settings.APIKEYS, **changed}


def is_let_in(issued, **environ):
    response = wsgi_request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}", **environ)
    assert code_of(response) in {None, "ip_not_allowed"}
    return response.status_code == 200


@pytest.mark.parametrize(
    ("network", "address", "allowed"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.0", True),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.0/24", "192.0.1.255", False),
        ("192.0.2.128/25", "192.0.2.127", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1", True),
        ("::/0", "2001:db8::1", True),
        ("::/0", "192.0.2.7", False),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("192.0.2.0/24", "::ffff:c000:0207", True),
        ("192.0.2.0/24", "::ffff:192.0.3.7", False),
        ("::ffff:192.0.2.0/120", "192.0.2.7", True),
        ("::ffff:192.0.2.0/120", "192.0.3.7", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("192.0.2.0/24", "", False),
        ("192.0.2.0/24", "unix:", False),
        ("192.0.2.0/24", "192.0.2.7, 192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.007", False),
        ("192.0.2.0/24", "3221225991", False),
    ],
)
def test_a_key_is_taken_from_its_networks_alone(network, address, allowed):
    issued = make_key(allowed_networks=[network])

    assert is_let_in(issued, REMOTE_ADDR=address) is allowed


@pytest.mark.parametrize(
    ("of_client", "of_key", "allowed"),
    [
        (None, None, True),
        (None, [OUTSIDE], True),
        ([OUTSIDE], None, True),
        ([OUTSIDE], [OUTSIDE, "192.0.2.0/24"], True),
        (["192.0.2.0/24"], [OUTSIDE], False),
        ([OUTSIDE], ["192.0.2.0/24"], False),
        (None, [], False),
        ([], None, False),
        ([], [OUTSIDE], False),
        ([OUTSIDE], [], False),
    ],
    ids=str,
)
def test_client_and_key_must_both_allow_the_address_and_empty_allows_none(of_client, of_key, allowed):
    issued = make_key(allowed_networks=of_key)
    clients.edit(issued.key.client, allowed_networks=of_client)

    assert is_let_in(issued, REMOTE_ADDR=OUTSIDE) is allowed


def test_a_network_that_cannot_be_read_allows_nobody():
    issued = make_key(allowed_networks=["192.0.2.0/24"])
    APIKey.objects.filter(pk=issued.key.pk).update(allowed_networks=["192.0.2.0/240", "anywhere"])

    assert not is_let_in(issued, REMOTE_ADDR="192.0.2.7")


@pytest.mark.parametrize("address", ["", "unknown", "@"])
def test_an_unknown_address_is_no_matter_to_an_unrestricted_key(address):
    assert is_let_in(make_key(), REMOTE_ADDR=address)


def test_the_refusal_of_an_address_does_not_show_the_list():
    issued = make_key(allowed_networks=["192.0.2.0/24"])

    response = wsgi_request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}", REMOTE_ADDR=OUTSIDE)

    assert response.status_code == 403
    assert response.json() == {"detail": "This key may not be used from this address.", "code": "ip_not_allowed"}


HOPS = {
    "nobody trusted, header ignored": ([], OUTSIDE, "192.0.2.7", False),
    "peer not trusted, header ignored": ([PROXY], OUTSIDE, "192.0.2.7", False),
    "one hop": ([PROXY], PROXY, "192.0.2.7", True),
    "no header, the proxy itself": ([PROXY], PROXY, None, False),
    "the leftmost is anybody's": ([PROXY], PROXY, f"192.0.2.7, {OUTSIDE}", False),
    "the rightmost untrusted counts": ([PROXY], PROXY, f"{OUTSIDE}, 192.0.2.7", True),
    "trusted hops are passed over": (["10.0.0.0/8"], PROXY, f"{OUTSIDE}, 192.0.2.7, 10.0.0.9", True),
    "one of two proxies trusted": ([PROXY], PROXY, "192.0.2.7, 10.0.0.9", False),
    "all hops trusted": (["10.0.0.0/8", "192.0.2.7"], PROXY, "192.0.2.7, 10.0.0.9", True),
    "malformed rightmost": ([PROXY], PROXY, "192.0.2.7, x", False),
    "malformed behind a trusted one": (["10.0.0.0/8"], PROXY, "192.0.2.7, x, 10.0.0.9", False),
    "malformed left of the one that counts": ([PROXY], PROXY, "x, 192.0.2.7", True),
    "empty": ([PROXY], PROXY, "", False),
    "trailing comma": ([PROXY], PROXY, "192.0.2.7,", False),
    "with port": ([PROXY], PROXY, "192.0.2.7:4711", True),
    "mapped": ([PROXY], PROXY, "::ffff:192.0.2.7", True),
    "mapped in brackets with port": ([PROXY], PROXY, "[::ffff:192.0.2.7]:4711", True),
    "mapped peer": ([PROXY], f"::ffff:{PROXY}", "192.0.2.7", True),
    "unix socket": (["unix"], "", "192.0.2.7", True),
    "unix socket not trusted": ([PROXY], "", "192.0.2.7", False),
    "unix is no network": (["unix"], OUTSIDE, "192.0.2.7", False),
    "unix behind another proxy": (["unix", PROXY], "", f"192.0.2.7, {PROXY}", True),
    "a network that cannot be read trusts nobody": (["10.0.0.0/80"], PROXY, "192.0.2.7", False),
    "not ASCII": ([PROXY], PROXY, "192.0.2.7, \xff\x00", False),
    "ten thousand hops": (["10.0.0.0/8"], PROXY, "192.0.2.7" + ", 10.0.0.9" * 10_000, False),
}


@pytest.mark.parametrize(("trusted", "peer", "forwarded", "allowed"), HOPS.values(), ids=HOPS)
def test_a_forwarded_address_counts_only_as_far_as_proxies_are_trusted(settings, trusted, peer, forwarded, allowed):
    set_apikeys(settings, TRUSTED_PROXIES=trusted)
    issued = make_key(allowed_networks=["192.0.2.0/24"])
    environ = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    assert is_let_in(issued, REMOTE_ADDR=peer, **environ) is allowed


def test_a_forged_address_is_not_what_an_alarm_records(settings):
    set_apikeys(settings, TRUSTED_PROXIES=[PROXY])
    issued = make_key()

    wsgi_request(
        HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}",
        REMOTE_ADDR=OUTSIDE,
        HTTP_X_FORWARDED_FOR="192.0.2.7",
        **{"wsgi.url_scheme": "http"},
    )

    assert KeyEvent.objects.get(kind=EventKind.SENT_IN_CLEAR).address == OUTSIDE


def is_taken_as_https(issued, **environ):
    response = wsgi_request(
        HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}", **{"wsgi.url_scheme": "http", "REMOTE_ADDR": OUTSIDE} | environ
    )
    assert code_of(response) in {None, "https_required"}
    return response.status_code == 200


SECURE = {
    "plain": ([], OUTSIDE, {}, False),
    "TLS in the server": ([], OUTSIDE, {"wsgi.url_scheme": "https"}, True),
    "header without proxy": ([], OUTSIDE, {"HTTP_X_FORWARDED_PROTO": "https"}, False),
    "header of another peer": ([PROXY], OUTSIDE, {"HTTP_X_FORWARDED_PROTO": "https"}, False),
    "header of the proxy": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "https"}, True),
    "header in capitals": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "HTTPS"}, True),
    "the proxy got it in the clear": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "http"}, False),
    "one hop in the clear": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "https, http"}, False),
    "the first hop in the clear": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "http, https"}, False),
    "all hops encrypted": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": "https,https"}, True),
    "empty header": ([PROXY], PROXY, {"HTTP_X_FORWARDED_PROTO": ""}, False),
    "no header": ([PROXY], PROXY, {}, False),
    "socket": (["unix"], "", {"HTTP_X_FORWARDED_PROTO": "https"}, True),
    "socket not trusted": ([PROXY], "", {"HTTP_X_FORWARDED_PROTO": "https"}, False),
    "in the clear to the proxy, encrypted from there": (
        [PROXY],
        PROXY,
        {"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"},
        False,
    ),
    "a stranger can't make HTTPS plain": (
        [PROXY],
        OUTSIDE,
        {"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"},
        True,
    ),
    "encrypted all the way, no header": ([PROXY], PROXY, {"wsgi.url_scheme": "https"}, True),
    "loopback is no exemption": ([], "127.0.0.1", {}, False),
}


@pytest.mark.parametrize("case", SECURE.values(), ids=SECURE)
@pytest.mark.parametrize(
    "header", [None, ("HTTP_X_FORWARDED_PROTO", "https")], ids=["by default", "with Django's proxy header set"]
)
def test_only_a_trusted_proxy_makes_a_request_https(settings, header, case):
    trusted, peer, environ, taken = case
    settings.SECURE_PROXY_SSL_HEADER = header
    set_apikeys(settings, TRUSTED_PROXIES=trusted)

    assert is_taken_as_https(make_key(), REMOTE_ADDR=peer, **environ) is taken


@pytest.mark.parametrize(
    ("environ", "taken"),
    [
        ({"HTTP_X_SCHEME": "on"}, True),
        ({"HTTP_X_SCHEME": "off"}, False),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_the_header_that_django_is_told_of_is_the_one_that_is_read(settings, environ, taken):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_SCHEME", "on")
    set_apikeys(settings, TRUSTED_PROXIES=[PROXY])

    assert is_taken_as_https(make_key(), REMOTE_ADDR=PROXY, **environ) is taken


def test_a_key_in_the_clear_is_refused_and_recorded_against_it():
    issued = make_key()

    response = wsgi_request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}", **{"wsgi.url_scheme": "http"})

    assert response.status_code == 403
    assert response.json()["detail"] == "Keys are accepted only over HTTPS. Treat this key as leaked."
    event = KeyEvent.objects.get(kind=EventKind.SENT_IN_CLEAR)
    assert (event.key_id, event.source) == (issued.key.pk, "request")


@pytest.mark.parametrize(
    ("given", "debug", "taken"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"REQUIRE_HTTPS": True}, True, False),
        ({"REQUIRE_HTTPS": False}, False, True),
    ],
    ids=["default", "debug", "asked for under debug", "switched off"],
)
def test_plain_http_is_free_under_debug_and_what_is_set_wins(settings, given, debug, taken):
    settings.DEBUG = debug
    set_apikeys(settings, **given)

    assert is_taken_as_https(make_key()) is taken


def test_what_is_not_ours_may_come_in_the_clear():
    response = wsgi_request(HTTP_AUTHORIZATION="Basic dTpw", **{"wsgi.url_scheme": "http"})

    assert code_of(response) == "key_missing"


QUERIES = {
    "key": "key=KEY",
    "key among others": "a=1&api_key=KEY&b=2",
    "key without name": "KEY",
    "key as a name": "KEY=1",
    "percent-encoded": "key=%61k_live_REST",
    "all percent-encoded": "key=ALL",
    "only the underscore": "key=ak%5flive%5FREST",
    "one underscore, the other as it is": "key=ak_live%5FREST",
    "beside an innocent word": "peak_hours=1&key=%61k_live_REST",
    "behind a percent sign": "key=%2KEY",
    "behind bytes that are not UTF-8": "x=%ff%fe&key=KEY",
    "percent-encoded behind bytes that are not UTF-8": "x=%ff%fe&key=%61k_live_REST",
}


def in_query(query, plaintext):
    everything = "".join(f"%{letter:02x}" for letter in plaintext.encode())
    return query.replace("KEY", plaintext).replace("ALL", everything).replace("REST", plaintext[len("ak_live_") :])


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_key_in_the_address_is_refused_and_recorded_against_it(query):
    issued = make_key()

    response = wsgi_request(QUERY_STRING=in_query(query, issued.plaintext))

    assert (response.status_code, code_of(response)) == (400, "key_in_query")
    assert KeyEvent.objects.get(kind=EventKind.SENT_IN_QUERY).key_id == issued.key.pk


def test_a_key_in_the_address_is_refused_also_beside_a_good_one():
    issued = make_key()

    response = wsgi_request(QUERY_STRING=f"key={issued.plaintext}", HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}")

    assert code_of(response) == "key_in_query"


@pytest.mark.urls("tests.request_path_urls")
def test_a_key_in_the_address_is_refused_where_anybody_may_come_in():
    response = wsgi_request("/open/", QUERY_STRING=f"key={make_key().plaintext}")

    assert code_of(response) == "key_in_query"


def test_a_piece_of_a_key_in_the_address_is_refused_and_recorded_against_nobody():
    issued = make_key()

    response = wsgi_request(QUERY_STRING=f"key={issued.plaintext[:40]}")

    assert code_of(response) == "key_in_query"
    assert not KeyEvent.objects.filter(kind=EventKind.SENT_IN_QUERY).exists()


@pytest.mark.parametrize(
    "query",
    [
        "q=ak_",
        "peak_hours=1",
        "task_id=ak_live_",
        "q=ak_live_4Qm9Zt%E2%80%A6",
        "q=ak_live_4Qm9ZtR1xVb7",
        "q=%00%ff",
        "%",
        "%4",
    ],
)
def test_letters_of_a_key_in_the_address_pass(query):
    response = wsgi_request(QUERY_STRING=query, HTTP_AUTHORIZATION=f"Bearer {make_key().plaintext}")

    assert response.status_code == 200


def test_an_address_of_a_hundred_thousand_signs_is_read():
    issued = make_key()

    response = wsgi_request(QUERY_STRING="%61k_live_" * 10_000 + "&key=" + issued.plaintext)

    assert code_of(response) == "key_in_query"


def test_the_first_refusal_does_not_keep_the_key_from_working_in_its_header():
    issued = make_key()
    ApiKeyClient().get(f"{WHOAMI}?key={issued.plaintext}")

    assert whoami(issued).status_code == 200
