from __future__ import annotations

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from joserfc.jwk import JWKRegistry, RSAKey

from apikeys.signed import keys
from apikeys.signed.keys import KeySet, SigningKeyError
from tests.token_cases import VECTORS, base64url

ALGORITHMS = ("ES256", "EdDSA", "RS256")
MADE = {algorithm: keys.generate(algorithm) for algorithm in ALGORITHMS}
EC = MADE["ES256"].private_jwk()
ED = MADE["EdDSA"].private_jwk()
RSA = MADE["RS256"].private_jwk()
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  # to be refused


def pem(key, *, password=None):
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def pem_of(jwk):
    return JWKRegistry.import_key(jwk).as_pem(private=True).decode()


def without(jwk, *names):
    return {name: value for name, value in jwk.items() if name not in names}


def public(jwk):
    return without(jwk, "d", "p", "q", "dp", "dq", "qi")


def number(value):
    return RSAKey.binding.export_public_key(value.public_key())["n"]


each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


@each_algorithm
def test_what_a_key_signs_is_checked_by_what_is_published_of_it(algorithm):
    key = MADE[algorithm]
    published = KeySet.from_jwks({"keys": [key.public_jwk()]})

    signature = key.sign(b"message")

    assert published.has_signed(b"message", signature=signature, kid=key.kid)
    assert not published.has_signed(b"another", signature=signature, kid=key.kid)
    assert published.algorithm_of(key.kid) == algorithm


@each_algorithm
@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 255, 256, 257])
def test_a_signature_of_any_other_bytes_is_none(algorithm, length):
    key = MADE[algorithm]

    assert not KeySet.of([key.public_jwk()]).has_signed(b"message", signature=b"\xff" * length, kid=key.kid)


@each_algorithm
def test_the_private_part_is_not_published(algorithm):
    published = MADE[algorithm].public_jwk()

    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(published)
    assert (published["use"], published["alg"], published["kid"]) == ("sig", algorithm, MADE[algorithm].kid)


@each_algorithm
def test_a_key_shows_its_name_alone(algorithm):
    assert repr(MADE[algorithm]) == f"PrivateKey(kid={MADE[algorithm].kid!r})"


@each_algorithm
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda jwk: jwk, id="JWK"),
        pytest.param(json.dumps, id="JWK as text"),
        pytest.param(lambda jwk: without(jwk, "kid", "alg", "use"), id="JWK without labels"),
        pytest.param(pem_of, id="PEM"),
        pytest.param(lambda jwk: pem_of(jwk).replace("\n", "\\n"), id="PEM on one line"),
        pytest.param(lambda jwk: f"\n{pem_of(jwk)}\n", id="PEM within empty lines"),
    ],
)
def test_a_private_key_is_read_as_it_is_written(algorithm, written):
    key = MADE[algorithm]

    assert keys.read_private(written(key.private_jwk())).private_jwk() == key.private_jwk()


def test_a_pem_of_openssls_older_kind_is_read():
    native = load_pem_private_key(pem_of(EC).encode(), password=None)
    older = native.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    assert keys.read_private(older).kid == MADE["ES256"].kid


def test_an_rsa_key_that_has_only_its_exponent_is_read():
    assert keys.read_private(without(RSA, "p", "q", "dp", "dq", "qi")).public_jwk() == MADE["RS256"].public_jwk()


def thumbprint(jwk):
    """RFC 7638 section 3."""
    required = {name: jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in jwk}
    return base64url(hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest())


@pytest.mark.parametrize(
    ("jwk", "stated"),
    [
        pytest.param(VECTORS[name]["jwk"], VECTORS[name]["thumbprint_sha256"], id=name)
        for name in ("rfc7638_thumbprint", "rfc8037_ed25519")
    ],
)
def test_thumbprints_are_computed_as_published(jwk, stated):
    assert thumbprint(jwk) == stated


@each_algorithm
def test_the_name_of_a_key_is_its_thumbprint(algorithm):
    unnamed = without(MADE[algorithm].private_jwk(), "kid")

    assert keys.read_private(unnamed).kid == MADE[algorithm].kid == thumbprint(unnamed)


def test_a_key_keeps_the_name_that_it_brings():
    assert keys.read_private({**ED, "kid": "2026-06"}).kid == "2026-06"


def test_the_key_of_rfc_8037_signs_as_published():
    vector = VECTORS["rfc8037_ed25519"]
    message, _, signature = vector["jws"].rpartition(".")

    assert base64url(keys.read_private(vector["jwk"]).sign(message.encode())) == signature


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param("", "no private key in PEM", id="nothing"),
        pytest.param("secret", "no private key in PEM", id="a word"),
        pytest.param("{", "no JSON object", id="half an object"),
        pytest.param('{"kty": "OKP", "kty": "EC"}', "no JSON object", id="a member twice"),
        pytest.param(["{}"], "neither a PEM nor a JWK", id="a list"),
        pytest.param({}, "kty", id="an empty JWK"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, "kty", id="a shared secret"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, "kty", id="a shared secret for HS256"),
        pytest.param({**EC, "crv": "P-384"}, "crv", id="another curve"),
        pytest.param({**ED, "crv": "X25519"}, "crv", id="a curve that signs nothing"),
        pytest.param({**ED, "kty": ["OKP"]}, "kty", id="a list as kty"),
        pytest.param({**EC, "alg": "EdDSA"}, "alg", id="the alg of another kind"),
        pytest.param({**EC, "alg": "ES384"}, "algorithm", id="an unsupported alg"),
        pytest.param({**RSA, "alg": "PS256"}, "algorithm", id="another padding"),
        pytest.param({**RSA, "alg": None}, "algorithm", id="alg null"),
        pytest.param({**EC, "use": "enc"}, "use", id="for encryption"),
        pytest.param({**EC, "key_ops": ["verify"]}, "key_ops", id="for checking alone"),
        pytest.param({**EC, "key_ops": "sign"}, "key_ops", id="a text as key_ops"),
        pytest.param(public(EC), "public", id="a public JWK"),
        pytest.param({**EC, "d": 1}, "not all text", id="a number"),
        pytest.param({**EC, "d": "ü"}, "malformed", id="not ASCII"),
        pytest.param({**EC, "d": "\ud800"}, "malformed", id="half a surrogate pair"),
        pytest.param({**EC, "d": ""}, "malformed", id="an empty member"),
        pytest.param(without(EC, "x"), "missing", id="a missing member"),
        pytest.param({**EC, "x": EC["y"]}, "belong together", id="a point off the curve"),
        pytest.param(
            {**EC, "d": keys.generate("ES256").private_jwk()["d"]}, "belong together", id="another EC key's d"
        ),
        pytest.param(
            {**ED, "d": keys.generate("EdDSA").private_jwk()["d"]}, "public part", id="another Ed25519 key's d"
        ),
        pytest.param(
            {**RSA, "d": keys.generate("RS256").private_jwk()["d"]}, "belong together", id="another RSA key's d"
        ),
        pytest.param({**RSA, "e": "AQ"}, "belong together", id="an exponent of 1"),
        pytest.param(without(RSA, "p"), "missing", id="a missing prime"),
        pytest.param({**RSA, "n": number(WEAK_RSA)}, "1024 bits", id="a weak modulus"),
        pytest.param({**RSA, "n": "_" * 11000}, "66000 bits", id="a huge modulus"),
        pytest.param({**ED, "kid": ""}, "kid", id="an empty kid"),
        pytest.param({**ED, "kid": 7}, "kid", id="a number as kid"),
        pytest.param({**ED, "kid": "a\nb"}, "kid", id="a line break in kid"),
        pytest.param({**ED, "kid": "k" * 201}, "kid", id="a long kid"),
        pytest.param(pem(WEAK_RSA), "1024 bits", id="a weak RSA PEM"),
        pytest.param(pem(ec.generate_private_key(ec.SECP384R1())), "curve", id="a PEM of P-384"),
        pytest.param(pem(ec.generate_private_key(ec.BrainpoolP256R1())), "curve", id="a PEM of Brainpool"),
        pytest.param(pem(ed448.Ed448PrivateKey.generate()), "curve", id="a PEM of Ed448"),
        pytest.param(pem(x25519.X25519PrivateKey.generate()), "curve", id="a PEM of X25519"),
        pytest.param(pem(dsa.generate_private_key(2048)), "kind", id="a PEM of DSA"),
        pytest.param(pem(WEAK_RSA, password=b"word"), "password", id="an encrypted PEM"),
        pytest.param(
            WEAK_RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "public",
            id="a public PEM",
        ),
        pytest.param(
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no private key", id="an empty PEM"
        ),
    ],
)
def test_what_can_not_sign_is_refused_with_a_reason_that_does_not_show_it(given, reason):
    with pytest.raises(SigningKeyError, match=reason) as refused:
        keys.read_private(given)

    told = str(refused.value)
    secrets = [given] if isinstance(given, str) else given.values() if isinstance(given, dict) else []
    assert not any(secret in told for secret in secrets if isinstance(secret, str) and len(secret) > 10)
    # What joserfc and cryptography held meanwhile is in no error report.
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_a_key_for_an_unknown_algorithm_is_not_made():
    with pytest.raises(SigningKeyError, match="ES256, EdDSA, RS256"):
        keys.generate("HS256")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="a list"),
        pytest.param({}, id="an empty object"),
        pytest.param({"keys": {}}, id="keys as an object"),
        pytest.param(public(EC), id="one key alone"),
        pytest.param({"keys": [public(EC)] * 101}, id="101 keys"),
    ],
)
def test_what_is_no_jwk_set_is_refused(document):
    with pytest.raises(SigningKeyError):
        KeySet.from_jwks(document)


def test_an_empty_set_has_no_keys():
    assert KeySet.from_jwks({"keys": []}).kids == set()


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param("a text", id="no object"),
        pytest.param(EC, id="a private key"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, id="a shared secret"),
        pytest.param({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"}, id="of a kind yet to come"),
        pytest.param(without(public(EC), "kid"), id="no kid"),
        pytest.param({**public(EC), "kid": 1}, id="a number as kid"),
        pytest.param({**public(EC), "use": "enc"}, id="for encryption"),
        pytest.param({**public(EC), "key_ops": ["sign"]}, id="not for checking"),
        pytest.param({**public(EC), "alg": "RS256"}, id="the alg of another kind"),
        pytest.param({**public(EC), "alg": "none"}, id="alg none"),
        pytest.param({**public(EC), "x": "AAAA"}, id="off the curve"),
        pytest.param({**public(EC), "x": f"AA{EC['x']}"}, id="a member with leading zeros"),
        pytest.param({**public(ED), "x": f"{ED['x']}="}, id="padding"),
        pytest.param({**public(RSA), "n": number(WEAK_RSA)}, id="a weak key"),
    ],
)
def test_an_unusable_key_of_a_set_is_left_out(unusable):
    found = KeySet.from_jwks({"keys": [unusable, {**public(ED), "kid": "good"}]})

    assert found.kids == {"good"}


@pytest.mark.parametrize("others", [1, 2])
def test_neither_of_two_keys_of_one_name_counts(others):
    again = [{**keys.generate("ES256").public_jwk(), "kid": "k"} for _ in range(others)]

    found = KeySet.of([{**public(ED), "kid": "k"}, *again, public(RSA)])

    assert "k" not in found
    assert found.kids == {RSA["kid"]}


def test_a_set_takes_the_algorithm_from_the_kind_of_a_key_that_names_none():
    found = KeySet.of([without(public(jwk), "alg", "use") for jwk in (EC, ED, RSA)])

    assert [found.algorithm_of(jwk["kid"]) for jwk in (EC, ED, RSA)] == ["ES256", "EdDSA", "RS256"]
