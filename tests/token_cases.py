"""Access tokens to accept and to refuse, as data: for whoever reads one, from a text or from a request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from apikeys.signed import keys

VECTORS = json.loads((Path(__file__).parent / "vectors" / "jwt.json").read_text())
_GIVEN = VECTORS["access_token_cases"]

ISSUER: str = _GIVEN["expected_iss"]
AUDIENCE: str = _GIVEN["expected_aud"]
#: When the cases are to be read, with clocks that may differ by so much.
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LEEWAY = timedelta(seconds=30)

#: The key of RFC 8037, which signed the given tokens, and one of another algorithm that is trusted as well.
KEY = keys.read_private({**VECTORS["rfc8037_ed25519"]["jwk"], "kid": _GIVEN["kid"]})
OTHER_KEY = keys.read_private({**keys.generate("ES256").private_jwk(), "kid": "k2"})
STRANGE_KEY = keys.read_private({**keys.generate("EdDSA").private_jwk(), "kid": KEY.kid})
#: What the authority publishes.
JWKS = {"keys": [KEY.public_jwk(), OTHER_KEY.public_jwk()]}

_PEM = (
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    b"-----END PUBLIC KEY-----\n"
)
_ENCRYPTED_HEADER = b'{"alg":"dir","enc":"A256GCM"}'
_NOW = int(NOW.timestamp())
_CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "client:client-1",
    "client_id": "client-1",
    "iat": _NOW - 60,
    "exp": _NOW + 540,
    "jti": "01J",
    "scope": "widgets:read",
}

Expected = Literal["accept", "expired", "invalid"]


@dataclass(frozen=True, kw_only=True)
class TokenCase:
    """A token, and how it must be decided."""

    name: str
    token: str
    expected: Expected
    #: Whether ``Authorization: Bearer`` can carry it (the token68 of RFC 9110 section 11.2).
    is_sendable: bool = True


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token with *changes*."""
    return {**_CLAIMS, **changes}


def claims_without(name: str) -> dict[str, Any]:
    """Return the claims of a good token but for *name*."""
    return {key: value for key, value in _CLAIMS.items() if key != name}


def header(**changes: Any) -> dict[str, Any]:
    """Return the header of a good token with *changes*."""
    return {"typ": "at+jwt", "alg": KEY.algorithm, "kid": KEY.kid, **changes}


def header_without(name: str) -> dict[str, Any]:
    """Return the header of a good token but for *name*."""
    return {key: value for key, value in header().items() if key != name}


def base64url(data: bytes) -> str:
    """Return *data* as parts of tokens are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    payload: dict[str, Any] | bytes | None = None,
    *,
    head: dict[str, Any] | bytes | None = None,
    key: keys.PrivateKey = KEY,
) -> str:
    """Return *payload* under *head*, truly signed by *key*, whatever they say; a good token's where not given."""
    parts = [header() if head is None else head, claims() if payload is None else payload]
    message = ".".join(base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in parts)
    return f"{message}.{base64url(key.sign(message.encode()))}"


def _hmac(secret: bytes, *, head: dict[str, Any] | None = None) -> str:
    parts = [head or header(alg="HS256"), claims()]
    message = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"{message}.{base64url(hmac.digest(secret, message.encode(), hashlib.sha256))}"


def _unsecured(algorithm: str) -> str:
    return signed(head=header(alg=algorithm)).rpartition(".")[0] + "."


def _altered(token: str, *, part: int) -> str:
    parts = token.split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    return ".".join(parts)


def _with_repeated(name: str, value: Any) -> bytes:
    """Return the claims of a good token, in which a second *name* stands first."""
    return json.dumps({name: value}).encode()[:-1] + b", " + json.dumps(claims()).encode()[1:]


def _with_raw(name: str, text: str) -> bytes:
    """Return the claims of a good token in which *name* is *text* as it stands."""
    return json.dumps(claims_without(name)).encode()[:-1] + f', "{name}": {text}}}'.encode()


def _with_unused_bits(token: str) -> str:
    """Return *token* with other bits in the last character of its signature, of which four mean nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) + 1]


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _given() -> Iterator[tuple[str, Expected, str]]:
    for case in _GIVEN["cases"]:
        expected: Expected = "accept" if case["accept"] else "expired" if case["name"] == "expired" else "invalid"
        yield f"given: {case['name']}", expected, case["token"]
    yield "RFC 7519 6.1: unsecured", "invalid", VECTORS["rfc7519_6_1_unsecured_must_be_rejected"]
    yield "RFC 7515 A.1: HS256", "invalid", VECTORS["rfc7515_a1_hs256"]["jwt"]
    yield "RFC 8037 A.4: signed by the trusted key, no token", "invalid", VECTORS["rfc8037_ed25519"]["jws"]


def _good() -> Iterator[tuple[str, Expected, str]]:
    yield "good", "accept", signed()
    yield "good, by the other key", "accept", signed(head=header(alg="ES256", kid="k2"), key=OTHER_KEY)
    yield "typ with application/", "accept", signed(head=header(typ="Application/AT+jwt"))
    yield "no scope", "accept", signed(claims_without("scope"))
    yield "scope empty", "accept", signed(claims(scope=""))
    yield "aud as a list", "accept", signed(claims(aud=["https://other.example/", AUDIENCE]))
    yield "exp with a fraction", "accept", signed(claims(exp=_NOW + 0.5))
    yield "unknown claims", "accept", signed(claims(subscription="premium", nested={"a": [1, {"b": None}]}))
    yield "space between members", "accept", signed(b" \n" + json.dumps(claims(), indent=1).encode() + b"\t")
    yield "claims that are not ASCII", "accept", signed(json.dumps(claims(team="Küche"), ensure_ascii=False).encode())
    for name in ("jku", "x5u"):
        yield f"{name}, which nobody follows", "accept", signed(head=header(**{name: "https://evil.example/"}))
    yield "x5c, which nobody reads", "accept", signed(head=header(x5c=["AAAA"]))


def _algorithms() -> Iterator[tuple[str, Expected, str]]:
    for name in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {name!r}, no signature", "invalid", _unsecured(name)
    yield "alg none, with a signature", "invalid", signed(head=header(alg="none"))
    yield "HS256 with the public key as secret", "invalid", _hmac(base64.urlsafe_b64decode(KEY.public_jwk()["x"] + "="))
    yield "HS256 with the PEM as secret", "invalid", _hmac(_PEM)
    yield "HS256 with the JWK as secret", "invalid", _hmac(json.dumps(KEY.public_jwk()).encode())
    yield "HS256 with an empty secret", "invalid", _hmac(b"")
    for name in ("HS256", "ES256", "RS256", "PS256", "Ed25519", "eddsa", "EdDSA "):
        yield f"alg {name!r} of a key for EdDSA", "invalid", signed(head=header(alg=name))
    for label, value in (("a list", ["EdDSA"]), ("null", None), ("a number", 1)):
        yield f"alg as {label}", "invalid", signed(head=header(alg=value))
    yield "no alg", "invalid", signed(head=header_without("alg"))


def _key_ids() -> Iterator[tuple[str, Expected, str]]:
    yield "no kid", "invalid", signed(head=header_without("kid"))
    odd = {
        "empty": "",
        "null": None,
        "a number": 1,
        "a list": ["k1"],
        "unknown": "k9",
        "in capitals": "K1",
        "a path": "../../../../../dev/null",
        "SQL": "k1' OR '1'='1",
        "with a NUL": "k1\0",
        "with a space": "k1 ",
        "an address": "https://evil.example/jwks.json",
        "long": "k" * 3000,
    }
    for label, kid in odd.items():
        yield f"kid {label}", "invalid", signed(head=header(kid=kid))
    yield "kid of another trusted key", "invalid", signed(head=header(kid="k2"))
    yield "kid and alg of another trusted key", "invalid", signed(head=header(kid="k2", alg="ES256"))
    yield "kid of a trusted key, signed by a strange one", "invalid", signed(key=STRANGE_KEY)
    brought = header(jwk=STRANGE_KEY.public_jwk())
    yield "jwk, and signed by it", "invalid", signed(head=brought, key=STRANGE_KEY)
    yield (
        "jwk instead of kid",
        "invalid",
        signed(head={**brought, "kid": STRANGE_KEY.public_jwk()["x"]}, key=STRANGE_KEY),
    )
    yield "jku, and signed from there", "invalid", signed(head=header(jku="https://evil.example/"), key=STRANGE_KEY)


def _headers() -> Iterator[tuple[str, Expected, str]]:
    for typ in ("JWT", "jwt", "at", "at+jwt ", "application/jwt", "revocations+jwt", "logout+jwt", "dpop+jwt", "", 1):
        yield f"typ {typ!r}", "invalid", signed(head=header(typ=typ))
    yield "typ as a list", "invalid", signed(head=header(typ=["at+jwt"]))
    yield "an ID token", "invalid", signed(claims(aud="client-1", nonce="n"), head=header_without("typ"))
    for label, value in (("unknown", ["x"]), ("empty", []), ("null", None), ("known names", ["alg"]), ("a text", "x")):
        yield f"crit {label}", "invalid", signed(head=header(crit=value, x=1))
    yield "crit of RFC 7797", "invalid", signed(head=header(crit=["b64"], b64=False))
    yield "alg twice", "invalid", signed(head=b'{"alg": "none", ' + json.dumps(header()).encode()[1:])
    yield "kid twice", "invalid", signed(head=b'{"kid": "k2", ' + json.dumps(header()).encode()[1:])
    yield "a list as header", "invalid", signed(head=b'["EdDSA"]')
    yield "an empty header", "invalid", signed(head=b"{}")


def _shapes() -> Iterator[tuple[str, Expected, str]]:
    good = signed()
    head, body, tail = good.split(".")
    yield "two parts", "invalid", f"{head}.{body}"
    yield "four parts", "invalid", f"{good}.{tail}"
    yield (
        "five parts, as if encrypted",
        "invalid",
        f"{base64url(_ENCRYPTED_HEADER)}..{body}.{tail}.{tail}",
    )
    yield "no signature", "invalid", f"{head}.{body}."
    yield "no payload", "invalid", f"{head}..{tail}"
    yield "half a signature", "invalid", good[:-43]
    yield "another header", "invalid", _altered(good, part=0)
    yield "another payload", "invalid", _altered(good, part=1)
    yield "another signature", "invalid", _altered(good, part=2)
    yield "signature of another token", "invalid", f"{head}.{body}.{signed(claims(jti='2')).rpartition('.')[2]}"
    yield "padding", "invalid", f"{good}=="
    yield "bits that mean nothing", "invalid", _with_unused_bits(good)
    yield "signature in another alphabet", "invalid", f"{head}.{body}.{tail[:-1]}+"
    yield "8193 characters", "invalid", _of_length(8193)
    yield "a megabyte", "invalid", _of_length(1_000_000)
    yield "a signed token within", "invalid", signed(good.encode(), head=header(cty="JWT"))
    yield "a signed token as text within", "invalid", signed(json.dumps(good).encode(), head=header(cty="JWT"))
    yield "a list of claims", "invalid", signed(json.dumps([claims()]).encode())
    yield "claims that are not UTF-8", "invalid", signed(json.dumps(claims()).encode("utf-16"))
    yield "claims after a byte order mark", "invalid", signed(b"\xef\xbb\xbf" + json.dumps(claims()).encode())
    yield "claims that stop", "invalid", signed(json.dumps(claims()).encode()[:-1])
    yield "more after the claims", "invalid", signed(json.dumps(claims()).encode() + b"{}")


def _numbers_and_repetition() -> Iterator[tuple[str, Expected, str]]:
    for name, value in (("aud", "https://other.example/"), ("exp", _NOW + 9), ("sub", "user:1"), ("scope", "admin")):
        yield f"{name} twice", "invalid", signed(_with_repeated(name, value))
    yield "a member twice, further in", "invalid", signed(_with_raw("extra", '{"a": 1, "a": 2}'))
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        yield f"exp {text}", "invalid", signed(_with_raw("exp", text))
        yield f"{text} in a claim", "invalid", signed(_with_raw("extra", text))
    yield "exp of 5,000 digits", "invalid", signed(_with_raw("exp", "9" * 5000))
    yield "exp of 1,000 digits", "invalid", signed(_with_raw("exp", "9" * 1000))
    yield "nested 17 deep", "invalid", signed(_with_raw("extra", _nested(16)))
    yield "nested 16 deep", "accept", signed(_with_raw("extra", _nested(15)))
    yield "nested 2,500 deep", "invalid", signed(_with_raw("extra", _nested(2500)))
    yield "half a surrogate pair", "invalid", signed(_with_raw("extra", '"\\ud800"'))
    yield "a whole surrogate pair", "accept", signed(_with_raw("extra", '"\\ud83d\\ude00"'))


def _times() -> Iterator[tuple[str, Expected, str]]:
    leeway = int(LEEWAY.total_seconds())
    yield "exp just within the leeway", "accept", signed(claims(exp=_NOW - leeway + 1))
    yield "exp just past the leeway", "expired", signed(claims(exp=_NOW - leeway))
    yield "exp past the leeway by a fraction", "expired", signed(claims(exp=_NOW - leeway + 0.9))
    yield "exp at the beginning of time", "expired", signed(claims(exp=0))
    yield "exp in the last second of time", "accept", signed(claims(exp=253_402_300_799))
    yield "exp past the end of time", "invalid", signed(claims(exp=253_402_300_800))
    for name in ("iat", "nbf"):
        yield f"{name} just within the leeway", "accept", signed(claims(**{name: _NOW + leeway}))
        yield f"{name} just past the leeway", "invalid", signed(claims(**{name: _NOW + leeway + 1}))
    yield "nbf past the leeway by a fraction", "invalid", signed(claims(nbf=_NOW + leeway + 0.1))
    odd = {
        "true": True,
        "a text": str(_NOW),
        "null": None,
        "a list": [_NOW],
        "negative": -1,
        "huge": 1e300,
        "long": 10**30,
    }
    for name in ("exp", "iat", "nbf"):
        for label, value in odd.items():
            yield f"{name} {label}", "invalid", signed(claims(**{name: value}))
    for name in ("exp", "iat"):
        yield f"no {name}", "invalid", signed(claims_without(name))


def _names() -> Iterator[tuple[str, Expected, str]]:
    parties: dict[str, Any] = {
        "another": "https://other.example/",
        "without its slash": AUDIENCE[:-1],
        "with more behind": f"{AUDIENCE}x",
        "empty": "",
        "null": None,
        "a number": 1,
        "an object": {AUDIENCE: True},
        "an empty list": [],
        "a list within a list": [[AUDIENCE]],
        "a list with a number": [AUDIENCE, 1],
    }
    for label, value in parties.items():
        yield f"aud {label}", "invalid", signed(claims(aud=value))
    issuers: dict[str, Any] = {
        "without its slash": ISSUER[:-1],
        "with more behind": f"{ISSUER}x",
        "a list": [ISSUER],
        "null": None,
    }
    for label, value in issuers.items():
        yield f"iss {label}", "invalid", signed(claims(iss=value))
    odd: dict[str, Any] = {
        "empty": "",
        "null": None,
        "a number": 1,
        "a list": ["a"],
        "with a NUL": "a\0",
        "too long": "a" * 256,
    }
    for name in ("sub", "client_id", "jti", "key_id", "family"):
        for label, value in odd.items():
            yield f"{name} {label}", "invalid", signed(claims(**{name: value}))
    for name in ("aud", "iss", "sub", "client_id", "jti"):
        yield f"no {name}", "invalid", signed(claims_without(name))
    yield "sub of 255 characters", "accept", signed(claims(sub="a" * 255))
    yield "sub with half a surrogate pair", "invalid", signed(claims(sub="a\ud800"))


def _rights() -> Iterator[tuple[str, Expected, str]]:
    scopes: dict[str, Any] = {
        "a list": ["a"],
        "null": None,
        "a number": 1,
        "two spaces": "a  b",
        "a quote": 'a"b',
        "a tab": "a\tb",
    }
    for label, value in scopes.items():
        yield f"scope with {label}", "invalid", signed(claims(scope=value))
    networks: dict[str, Any] = {
        "a text": "10.0.0.0/8",
        "texts alone": ["10.0.0.0/8"],
        "null": None,
        "no network": [["10.0.0.0/99"]],
        "a number": [[1]],
        "an object": [{"10.0.0.0/8": 1}],
    }
    for label, value in networks.items():
        yield f"networks of {label}", "invalid", signed(claims(networks=value))
    yield "cnf, of which nobody asks a proof", "invalid", signed(claims(cnf={"jkt": "x"}))


def _of_length(length: int) -> str:
    """Return a good token of exactly so many characters, but for its length."""
    claim = "x" * (3 * length // 4)
    while len(token := signed(claims(extra=claim))) != length:
        claim = claim[: -max(1, 3 * (len(token) - length) // 4)] if len(token) > length else f"{claim}x"
    return token


_UNSENDABLE = {
    "space inside": signed().replace(".", " .", 1),
    "a line break behind": f"{signed()}\n",
    "a NUL behind": f"{signed()}\0",
    "digits that are not ASCII": signed().replace(".", "\u0661.", 1),
    "padding inside": signed().replace(".", "=.", 1),
    "nothing": "",
    "dots": "..",
}

CASES: list[TokenCase] = [
    *(
        TokenCase(name=name, token=token, expected=expected)
        for group in (
            *(
                _given,
                _good,
                _algorithms,
                _key_ids,
                _headers,
                _shapes,
                _numbers_and_repetition,
                _times,
                _names,
                _rights,
            ),
        )
        for name, expected, token in group()
    ),
    *(TokenCase(name=name, token=token, expected="invalid", is_sendable=False) for name, token in _UNSENDABLE.items()),
]
