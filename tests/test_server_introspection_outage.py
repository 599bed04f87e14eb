from __future__ import annotations

import logging
import socket
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import AllowAny

from apikeys.resource_server import asking as introspection

from .authority_stand_in import Reply, as_json
from .introspected import (
    PERSON,
    SERVER_KEY,
    SERVICE,
    active,
    asking,
    authority,
    bearer,
    get,
    inactive,
    new_key,
    sharing,
)

#: Short, so that a test that waits for them is not slow, and a busy machine still keeps them apart.
TIMES: dict[str, Any] = {
    "AUTHORITY_CONNECT_TIMEOUT": timedelta(milliseconds=300),
    "AUTHORITY_READ_TIMEOUT": timedelta(milliseconds=300),
}
DRIP = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nX-Padding: " + b"a" * 4000


def code_of(response):
    return response.status_code, response.json()["code"]


def pass_pause():
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    introspection._line.ask_again_at = time.monotonic()  # noqa: SLF001


def lines_in(caplog, level=logging.WARNING):
    return [
        record.getMessage() for record in caplog.records if record.name == "apikeys.auth" and record.levelno >= level
    ]


def for_one(key, reply):
    """Return what answers *reply* about *key*, and that every other one is good."""
    return lambda asked: reply if asked.form["token"] == [key] else active(asked)


@contextmanager
def nobody_listening():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with asking(f"http://127.0.0.1:{unused.getsockname()[1]}/authority/", **TIMES):
            yield


#: What may be due to the one credential that was asked about, until another one is answered in the same way.
STALLS = [
    pytest.param(Reply(stalls=True), id="stalls"),
    pytest.param(Reply(drips_every=0.05, raw=DRIP), id="drips"),
]
FAILURES = [
    pytest.param(Reply(raw=b""), id="closes"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"), id="cut-off"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"), id="cut-off-chunk"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), id="no-chunk"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), id="many-fields"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), id="long-field"),
    pytest.param(Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), id="no-http"),
    pytest.param(Reply(status=401), id="401"),
    pytest.param(Reply(status=502), id="502"),
    pytest.param(Reply(status=504), id="504"),
]
#: Of each member what it can't be.
WRONG: dict[str, list[Any]] = {
    "sub": [None, 7, "", "user:", "client:other", "richard", True],
    "client_id": [None, 7, ""],
    "scope": [None, ["todo:read"], {"todo:read": True}, True],
    "aud": [None, 7, [7], {}],
    "iss": [None, 7],
    "exp": [None, "1800000000", True, 1.5, -1, 253_402_300_800, 10**30, [], {}],
    "nbf": [None, "0", False, 1e9],
    "kind": ["layered", None, 7],
    "networks": [None, "127.0.0.0/8", ["127.0.0.0/8"], [[1]], {}],
    "username": [None, 7],
    "key_id": [None, 7],
    "client_name": [[]],
    "token_type": [None, 7],
}
#: What may be due to the one credential that was asked about.
ODDITIES = [
    pytest.param(Reply(body=b" " * 65_537), id="too-long"),
    pytest.param(Reply(status=403), id="403"),
    pytest.param(Reply(status=500), id="500"),
    pytest.param(Reply(status=429, headers={"Retry-After": "60"}), id="429"),
    pytest.param(Reply(status=503, headers={"Retry-After": "60"}), id="503"),
    pytest.param(Reply(status=400), id="400"),
    pytest.param(Reply(status=404), id="404"),
    pytest.param(Reply(status=204), id="204"),
    pytest.param(Reply(status=302, headers={"Location": "/authority/elsewhere"}), id="redirect"),
    pytest.param(Reply(status=307, headers={"Location": "https://127.0.0.1/"}), id="redirect-elsewhere"),
    pytest.param(Reply(body=b""), id="empty"),
    pytest.param(Reply(body=b"<html>"), id="no-json"),
    pytest.param(Reply(body=b'{"active": tru'), id="half-json"),
    pytest.param(Reply(body=b"\xff\xfe"), id="no-unicode"),
    pytest.param(Reply(body=b"[true]"), id="list"),
    pytest.param(Reply(body=b'{"active": false, "active": true}'), id="twice"),
    pytest.param(Reply(body=b"[" * 30_000), id="nested"),
    pytest.param(as_json({}), id="no-active"),
    pytest.param(as_json({"active": True}), id="active-alone"),
    *(
        pytest.param(as_json({**PERSON, name: value}), id=f"{name}-{number}")
        for name, values in WRONG.items()
        for number, value in enumerate(values)
    ),
]


class TestNoAnswer:
    @pytest.mark.parametrize("reply", [*STALLS, *FAILURES, *ODDITIES])
    def test_nobody_is_let_in_and_no_credential_is_called_bad(self, reply):
        with authority(reply, **TIMES):
            responses = [get(), get(sharing(permission_classes=[AllowAny]), **bearer("abc"))]

        assert [code_of(response) for response in responses] == [(503, "authority_unavailable")] * 2
        assert not any("WWW-Authenticate" in response for response in responses)
        assert all(1 <= int(response["Retry-After"]) <= 60 for response in responses)

    def test_an_authority_that_is_not_there_is_no_answer(self):
        with nobody_listening():
            response = get()

        assert code_of(response) == (503, "authority_unavailable")
        assert response["Retry-After"] == "5"

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(stalls=True), id="stalls"),
            pytest.param(Reply(drips_every=0.05, raw=DRIP), id="drips-fields"),
            pytest.param(Reply(drips_every=0.05, raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 200), id="drips-interim"),
        ],
    )
    def test_a_request_waits_no_longer_than_both_time_outs(self, reply):
        with authority(reply, **TIMES):
            began = time.monotonic()
            response = get()

        assert response.status_code == 503
        # The rest is for a machine that is busy.
        assert 0.25 < time.monotonic() - began < 2

    def test_a_body_that_comes_in_drops_ends_in_time_as_well(self):
        def slow(asked):
            return Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b" " * 60_000, drips_every=0.01)

        with authority(slow, **TIMES):
            began = time.monotonic()
            assert get().status_code == 503

        assert time.monotonic() - began < 2


class TestPause:
    @pytest.mark.parametrize("reply", FAILURES)
    def test_after_a_failure_nobody_waits_again(self, reply):
        with authority(reply, **TIMES) as server:
            get()
            asked = len(server.asked)
            responses = [get(), get(**bearer("abc"))]

        assert [code_of(response) for response in responses] == [(503, "authority_unavailable")] * 2
        assert len(server.asked) == asked

    @pytest.mark.parametrize("reply", ODDITIES[:19])
    def test_what_one_credential_may_have_caused_stops_no_other(self, reply):
        with authority(reply) as server:
            get()
            server.answers["introspect"] = active

            assert get().status_code == 200

    @pytest.mark.parametrize("reply", STALLS)
    def test_one_credential_that_takes_too_long_stops_no_other(self, reply):
        slow = new_key()
        with authority(for_one(slow, reply), **TIMES):
            statuses = [get(key=key).status_code for key in (slow, new_key(), slow, new_key())]

        assert statuses == [503, 200, 503, 200]

    @pytest.mark.parametrize("reply", STALLS)
    def test_nobody_waits_again_for_what_is_said_of_one_credential(self, reply):
        slow = new_key()
        with authority(for_one(slow, reply), AUTHORITY_PAUSE=timedelta(seconds=30), **TIMES) as server:
            answers = [get(key=slow) for _ in range(3)]

        assert [code_of(answer) for answer in answers] == [(503, "authority_unavailable")] * 3
        assert all(28 <= int(answer["Retry-After"]) <= 30 for answer in answers)
        assert len(server.asked) == 1

    def test_a_credential_that_took_too_long_is_asked_about_again_after_the_pause(self):
        slow = new_key()
        with authority(Reply(stalls=True), **TIMES, AUTHORITY_PAUSE=timedelta(0)) as server:
            get(key=slow)
            server.answers["introspect"] = active

            assert get(key=slow).status_code == 200

    @pytest.mark.parametrize("reply", STALLS)
    def test_after_a_second_credential_that_takes_too_long_nobody_waits(self, reply):
        with authority(reply, **TIMES) as server:
            answers = [get() for _ in range(4)]

        assert [code_of(answer) for answer in answers] == [(503, "authority_unavailable")] * 4
        assert len(server.asked) == 2

    def test_two_credentials_that_take_too_long_stop_no_other_where_one_between_them_is_answered(self):
        with authority(Reply(stalls=True), **TIMES) as server:
            get()
            server.answers["introspect"] = active
            get()
            server.answers["introspect"] = Reply(stalls=True)
            get()
            server.answers["introspect"] = active

            assert get().status_code == 200

    def test_one_credential_that_takes_too_long_does_not_keep_the_way_closed(self):
        slow = new_key()
        with authority(Reply(stalls=True), **TIMES) as server:
            get()
            get(key=slow)
            pass_pause()
            introspection._stalled.clear()  # noqa: SLF001  # as the clock does
            get(key=slow)
            server.answers["introspect"] = for_one(slow, Reply(stalls=True))

            assert [get().status_code for _ in range(2)] == [200, 200]

    def test_it_recovers_by_itself(self):
        with authority(Reply(status=502)) as server:
            get()
            server.answers["introspect"] = active
            assert get().status_code == 503

            pass_pause()

            assert [get().status_code for _ in range(2)] == [200, 200]

    def test_a_failure_after_the_pause_begins_another(self):
        with authority(Reply(status=502)) as server:
            get()
            pass_pause()
            get()
            get()

            assert len(server.asked) == 2

    def test_inactive_is_an_answer(self):
        with authority(inactive) as server:
            assert [get().status_code for _ in range(3)] == [401] * 3
            assert len(server.asked) == 3

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            pytest.param("0", "1", id="none"),
            pytest.param("20", "20", id="some"),
            pytest.param("60", "60", id="longest"),
            pytest.param("61", "60", id="too-long"),
            pytest.param("9" * 30, "1", id="absurd"),
            pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", "1", id="date"),
            pytest.param("-1", "1", id="negative"),
        ],
    )
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_the_authoritys_own_wait_is_passed_on_within_bounds(self, status, given, told):
        with authority(Reply(status=status, headers={"Retry-After": given})):
            assert get()["Retry-After"] == told

    def test_a_wait_that_is_longer_than_the_pause_is_told_where_the_way_is_closed(self):
        with authority(Reply(status=502, headers={"Retry-After": "20"})):
            assert get()["Retry-After"] == "20"

    def test_during_the_pause_the_rest_of_it_is_told(self):
        with authority(Reply(status=502), AUTHORITY_PAUSE=timedelta(seconds=30)):
            first, second = get(), get()

        assert first["Retry-After"] == "30"
        assert 28 <= int(second["Retry-After"]) <= 30


class TestLog:
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_of_this_server_is_an_error_once_a_minute_that_says_what_to_check(self, caplog, status):
        with authority(Reply(status=status)):
            get()
            pass_pause()
            get()

        [line] = lines_in(caplog, logging.ERROR)
        assert "AUTHORITY_KEY" in line
        assert str(status) in line
        assert SERVER_KEY not in caplog.text

    def test_an_authority_that_does_not_answer_is_told_once_a_minute(self, caplog):
        with nobody_listening():
            for _ in range(3):
                get()
                pass_pause()

        [line] = lines_in(caplog)
        assert line.startswith("The authority does not answer: ")

    def test_an_answer_that_can_not_be_used_is_not_quoted(self, caplog):
        key = new_key()
        with authority({**SERVICE, "exp": key}):
            get(key=key)

        [line] = lines_in(caplog)
        assert line == "The authority's answer can't be used: its 'exp' is no instant."
        assert key not in caplog.text

    def test_that_it_answers_again_is_told(self, caplog):
        caplog.set_level(logging.INFO, logger="apikeys.auth")
        with authority(Reply(status=502)) as server:
            get()
            server.answers["introspect"] = active
            pass_pause()
            get()

        assert lines_in(caplog, logging.INFO)[-1] == "The authority tells of keys and tokens again."


class TestSettings:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"AUTHORITY_URL": "", "ISSUER": ""}, id="no-address"),
            pytest.param({"ISSUER": ""}, id="no-issuer"),
            pytest.param({"AUDIENCE": ""}, id="no-audience"),
            pytest.param({"AUTHORITY_KEY": ""}, id="no-key"),
            pytest.param({"AUTHORITY_KEY": "a b"}, id="key-with-space"),
            pytest.param({"AUTHORITY_KEY": "a\r\nX: y"}, id="key-with-line"),
            pytest.param({"AUTHORITY_KEY": "schlüssel"}, id="key-beyond-ascii"),
            pytest.param({"AUTHORITY_URL": "ftp://127.0.0.1/"}, id="other-scheme"),
            pytest.param({"AUTHORITY_URL": "http://user:password@127.0.0.1/"}, id="password"),
            pytest.param({"AUTHORITY_URL": "http://127.0.0.1/?a=b"}, id="query"),
            pytest.param({"AUTHORITY_URL": "http://127.0.0.1:port/"}, id="no-port"),
            pytest.param({"AUTHORITY_URL": "http://" + "a" * 70 + ".example.com/"}, id="no-host"),
        ],
    )
    def test_settings_that_name_no_authority_let_nobody_in_and_say_so(self, changes):
        with authority(**changes) as server:
            for _ in range(2):
                with pytest.raises(ImproperlyConfigured, match="APIKEYS") as caught:
                    get()
                assert "schl" not in str(caught.value)
            assert server.asked == []

    def test_plain_http_is_for_debug_alone(self):
        with authority(debug=False) as server:
            with pytest.raises(ImproperlyConfigured, match="https://"):
                get()
            assert server.connections == []
