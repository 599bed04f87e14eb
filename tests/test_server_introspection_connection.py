from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apikeys.resource_server import connection

from .authority_stand_in import Reply, as_json
from .drf_views import served
from .introspected import SERVICE, Sharing, active, asking, authority, get, inactive, new_key, send, together

OK = {"user": "client:todo-app", "kind": "api_key"}


class TestReuse:
    def test_one_connection_serves_many_requests(self):
        with authority() as server:
            for _ in range(5):
                assert get().status_code == 200

            assert (len(server.asked), len(server.connections)) == (5, 1)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(status=404), id="another-status"),
            pytest.param(Reply(status=404, body=b"x" * 1000), id="with-body"),
            pytest.param(as_json({"active": False}), id="inactive"),
        ],
    )
    def test_an_answer_that_is_no_yes_is_no_reason_to_connect_anew(self, reply):
        with authority(reply) as server:
            get()
            get()

            assert len(server.connections) == 1

    def test_a_connection_that_was_closed_meanwhile_is_replaced_in_silence(self, caplog):
        with authority() as server:
            get()
            server.close_connections()

            assert get().json() == OK
            assert (len(server.asked), len(server.connections)) == (2, 2)
        assert caplog.text == ""

    def test_a_connection_that_is_closed_just_then_is_replaced_in_silence(self, caplog):
        # Between the look at it and the request, where no look helps.
        replies = [as_json(SERVICE), Reply(raw=b""), as_json(SERVICE)]
        with authority(lambda asked: replies.pop(0)) as server:
            get()

            assert get().json() == OK
            assert (len(server.asked), len(server.connections)) == (3, 2)
            assert server.asked[1].form == server.asked[2].form
        assert caplog.text == ""

    def test_that_happens_once(self):
        replies = [as_json(SERVICE), Reply(raw=b""), Reply(raw=b""), as_json(SERVICE)]
        with authority(lambda asked: replies.pop(0)) as server:
            get()

            assert get().status_code == 503
            assert len(server.asked) == 3

    def test_a_new_connection_that_is_closed_is_a_failure(self):
        with authority(Reply(raw=b"")) as server:
            assert get().status_code == 503
            assert len(server.asked) == 1

    def test_what_has_begun_to_answer_is_not_asked_again(self):
        replies = [as_json(SERVICE), Reply(raw=b"HTTP/1.1 2"), as_json(SERVICE)]
        with authority(lambda asked: replies.pop(0)) as server:
            get()

            assert get().status_code == 503
            assert len(server.asked) == 2

    def test_a_time_out_is_no_reason_to_ask_again(self):
        replies = [as_json(SERVICE), Reply(stalls=True), as_json(SERVICE)]
        with authority(lambda asked: replies.pop(0), AUTHORITY_READ_TIMEOUT=timedelta(milliseconds=200)) as server:
            get()

            assert get().status_code == 503
            assert len(server.asked) == 2

    def test_what_nobody_asked_for_never_answers_the_next_request(self):
        yes = as_json(SERVICE).body
        surplus = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(yes), yes)
        replies = [as_json({"active": False}), as_json({"active": False})]
        with authority(lambda asked: replies.pop(0)) as server:
            assert get().status_code == 401
            server.connections[0].sendall(surplus)

            assert get().status_code == 401
            assert (len(server.asked), len(server.connections)) == (2, 2)

    def test_a_connection_that_was_idle_for_long_is_not_trusted(self):
        with authority() as server:
            get()
            [idle] = connection._idle._connections  # noqa: SLF001  # no clock that counts here can be set
            idle.idle_since -= 30

            assert get().status_code == 200
            assert len(server.connections) == 2

    def test_threads_have_a_connection_each_at_a_time(self):
        both = threading.Barrier(2)

        def meet(asked):
            both.wait(timeout=10)
            return active(asked)

        with authority(meet) as server, served(Sharing):
            for _ in range(3):
                responses = together(*[partial(send, key=new_key()) for _ in range(2)])
                assert [response.status_code for response in responses] == [200, 200]

            assert len(server.connections) == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
    def test_a_child_of_a_fork_leaves_its_parents_connection_alone(self):
        with authority() as server:
            get()
            child = os.fork()
            if child == 0:
                # No test may go on in here.
                is_right = get().status_code == 200
                os._exit(0 if is_right else 1)
            _, status = os.waitpid(child, 0)

            assert status == 0
            assert get().json() == OK
            assert [len(server.asked), len(server.connections)] == [3, 2]


class TestBounds:
    @pytest.mark.parametrize(
        ("padding", "status"),
        [pytest.param(0, 200, id="64-KiB"), pytest.param(1, 503, id="one-byte-more")],
    )
    def test_an_answer_has_at_most_64_kib(self, padding, status):
        body = as_json(SERVICE).body
        body += b" " * (64 * 1024 - len(body) + padding)
        with authority(Reply(body=body)):
            assert get().status_code == status

    def test_an_answer_in_pieces_has_as_many(self):
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 4096 + b"\r\n"
        with authority(Reply(raw=raw + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 20 + b"0\r\n\r\n")):
            assert get().status_code == 503

    def test_an_answer_in_pieces_is_an_answer(self):
        body = as_json(SERVICE).body
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        with authority(Reply(raw=raw)):
            assert get().json() == OK

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status):
        with authority() as elsewhere:
            moved = Reply(status=status, headers={"Location": f"{elsewhere.url}introspect"})
            with authority(moved) as server:
                assert get().status_code == 503
                assert len(server.asked) == 1
            assert elsewhere.asked == []

    def test_proxies_of_the_environment_are_not_asked(self, monkeypatch):
        with authority() as proxy, authority() as server:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)

            assert get().status_code == 200
            assert (len(proxy.asked), len(server.asked)) == (0, 1)

    def test_cookies_are_not_kept(self):
        with authority(as_json(SERVICE)) as server:
            server.answers["introspect"] = Reply(body=as_json(SERVICE).body, headers={"Set-Cookie": "a=b"})
            get()
            get()

            assert not any("Cookie" in asked.headers for asked in server.asked)


class TestResolving:
    def test_a_resolver_that_hangs_holds_nobody_longer_than_the_time_out(self, monkeypatch):
        over = threading.Event()

        def hangs(*args, **kwargs):
            over.wait(timeout=30)
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", hangs)
        began = time.monotonic()
        try:
            with asking("http://auth.example.com/", AUTHORITY_CONNECT_TIMEOUT=timedelta(milliseconds=200)):
                assert get().status_code == 503
        finally:
            over.set()
        assert time.monotonic() - began < 2

    def test_a_name_that_nobody_knows_is_no_answer(self):
        with asking("http://authority.invalid/"):
            assert get().status_code == 503

    def test_an_address_that_refuses_is_followed_by_the_next(self, monkeypatch):
        with authority(inactive) as server, socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            addresses = [("127.0.0.1", unused.getsockname()[1]), ("127.0.0.1", server.port)]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

            with asking(f"http://auth.example.com:{server.port}/authority/"):
                assert get().status_code == 401
            assert server.asked[0].headers["Host"] == f"auth.example.com:{server.port}"

    def test_a_family_of_addresses_that_this_host_lacks_is_followed_by_the_next(self, monkeypatch):
        lacking = 9999
        with authority(inactive) as server:
            here = ("127.0.0.1", server.port)
            found = [(family, socket.SOCK_STREAM, 6, "", here) for family in (lacking, socket.AF_INET)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

            with asking(f"http://auth.example.com:{server.port}/authority/"):
                assert get().status_code == 401


def take_tls_alone(server, directory, *, name):
    """Have *server* take nothing but TLS, and return the file of its certificate, which is of *name*."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)  # noqa: SLF001  # before any came
    return file


class TestTLS:
    @pytest.fixture
    def server(self, tmp_path):
        with authority() as server:
            yield server, take_tls_alone(server, tmp_path, name="localhost")

    def test_an_authority_with_a_good_certificate_is_asked(self, server, monkeypatch):
        server, file = server
        monkeypatch.setenv("SSL_CERT_FILE", str(file))

        with asking(f"https://localhost:{server.port}/authority/", debug=False):
            assert [get().status_code for _ in range(3)] == [200] * 3
        assert len(server.connections) == 1

    @pytest.mark.parametrize(
        ("host", "is_known"),
        [
            pytest.param("localhost", False, id="unknown-certificate"),
            pytest.param("127.0.0.1", True, id="of-another-name"),
        ],
    )
    def test_nothing_is_told_to_an_authority_that_can_not_prove_itself(self, server, monkeypatch, host, is_known):
        server, file = server
        if is_known:
            monkeypatch.setenv("SSL_CERT_FILE", str(file))

        with asking(f"https://{host}:{server.port}/authority/", debug=False):
            assert get().status_code == 503
        assert server.asked == []

    def test_a_handshake_that_nobody_answers_ends_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            began = time.monotonic()
            with asking(url, debug=False, AUTHORITY_CONNECT_TIMEOUT=timedelta(milliseconds=200)):
                assert get().status_code == 503

        assert time.monotonic() - began < 2
