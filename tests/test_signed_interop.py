"""Our tokens read by others, and others' by us. None of them shares code with ours but joserfc, which reads again."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import authlib.deprecate  # before what follows: it puts a filter of its own first
import jwt as pyjwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt

from apikeys.core.errors import InvalidTokenError
from apikeys.signed import keys, tokens
from tests import exchanges, introspection
from tests.signing_keys import rotate, served, with_settings
from tests.token_cases import VECTORS, signed

with warnings.catch_warnings():
    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
    from authlib.jose import JsonWebKey, JsonWebToken

ALGORITHMS = ("ES256", "EdDSA", "RS256")
MADE = {algorithm: keys.generate(algorithm) for algorithm in ALGORITHMS}
#: What the authority serves.
JWKS: Any = {"keys": [key.public_jwk() for key in MADE.values()]}
ISSUER = "https://as.example/authority"
AUDIENCE = "https://api.example/"
_NOW = int(time.time())
TOKEN = tokens.SignedToken(
    issuer=ISSUER,
    audience=AUDIENCE,
    subject="user:7",
    client_id="client-1",
    issued_at=_NOW,
    expires_at=_NOW + 86_400,
    jti="01J",
    scopes=("widgets:read",),
    key_id="4Qm9ZtR1xVb7",
    family="4Qm9ZtR1xVb7",
    networks=(("192.0.2.0/24",),),
    claims={"subscription": "premium"},
)
SAID = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "user:7",
    "client_id": "client-1",
    "iat": _NOW,
    "exp": _NOW + 86_400,
    "jti": "01J",
    "scope": "widgets:read",
    "key_id": "4Qm9ZtR1xVb7",
    "family": "4Qm9ZtR1xVb7",
    "networks": [["192.0.2.0/24"]],
    "subscription": "premium",
}

each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def read_by_pyjwt(text, *, jwks=JWKS, issuer=ISSUER, audience=AUDIENCE):
    published = pyjwt.PyJWKSet.from_dict(jwks)
    key = published[pyjwt.get_unverified_header(text)["kid"]]
    return pyjwt.decode(text, key, algorithms=[key.algorithm_name], audience=audience, issuer=issuer)


def read_by_authlib(text, *, jwks=JWKS, issuer=ISSUER, audience=AUDIENCE):
    published = JsonWebKey.import_key_set(jwks)
    stated = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}
    read = JsonWebToken(list(ALGORITHMS)).decode(text, published, claims_options=stated)
    read.validate()
    return dict(read)


def read_by_joserfc(text, *, jwks=JWKS, issuer=ISSUER, audience=AUDIENCE):
    published = joserfc_jwk.KeySet.import_key_set(jwks)
    read = joserfc_jwt.decode(text, published, algorithms=list(ALGORITHMS))
    stated: Any = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}
    joserfc_jwt.JWTClaimsRegistry(**stated).validate(read.claims)
    return read.claims


each_reader = pytest.mark.parametrize(
    "read_it",
    [
        pytest.param(read_by_pyjwt, id="PyJWT"),
        pytest.param(read_by_authlib, id="Authlib"),
        pytest.param(read_by_joserfc, id="joserfc"),
    ],
)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:UserWarning")  # of joserfc: ours goes by the key
@each_reader
@each_algorithm
def test_our_tokens_are_read_by_others_with_the_published_keys(algorithm, read_it):
    text = tokens.sign(TOKEN, key=MADE[algorithm])

    assert read_it(text) == SAID


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:UserWarning")  # likewise
@each_reader
@each_algorithm
def test_tokens_of_the_authority_are_read_by_others_with_the_keys_that_it_serves(algorithm, read_it):
    with with_settings(SIGNING_ALGORITHM=algorithm):
        rotate()
        issued = exchanges.make_holder()
        response = exchanges.exchange(issued)
    text, jwks = exchanges.token_text(response), {"keys": served()}

    said = read_it(text, jwks=jwks, issuer=introspection.ISSUER, audience=exchanges.server_of(issued))

    assert said == exchanges.told_by(response)
    assert pyjwt.get_unverified_header(text) == {"typ": "at+jwt", "alg": algorithm, "kid": jwks["keys"][0]["kid"]}


@each_algorithm
def test_tokens_that_pyjwt_wrote_are_read(algorithm):
    key = MADE[algorithm]
    private = pyjwt.PyJWK(key.private_jwk()).key

    text = pyjwt.encode(SAID, private, algorithm=algorithm, headers={"typ": "at+jwt", "kid": key.kid})

    assert verify(text) == TOKEN


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:UserWarning")
@each_algorithm
def test_tokens_that_joserfc_wrote_are_read(algorithm):
    key = MADE[algorithm]
    header = {"typ": "at+jwt", "alg": algorithm, "kid": key.kid}

    text = joserfc_jwt.encode(header, SAID, joserfc_jwk.import_key(dict(key.private_jwk())), algorithms=[algorithm])

    assert verify(text) == TOKEN


@each_algorithm
def test_the_token_of_rfc_9068_is_read(algorithm):
    figure = VECTORS["rfc9068_figure2"]
    key = MADE[algorithm]
    claims = figure["claims"]
    header = {**figure["header"], "alg": algorithm, "kid": key.kid}
    text = signed(claims, head=header, key=key)

    read = tokens.verify(
        text,
        keys=keys.KeySet.from_jwks(JWKS),
        issuer=claims["iss"],
        audience=claims["aud"],
        now=datetime.fromtimestamp(claims["iat"], tz=UTC),
        leeway=timedelta(0),
    )
    assert (read.subject, read.client_id) == (claims["sub"], claims["client_id"])
    assert read.scopes == ("openid", "profile", "reademail")
    assert (read.issued_at, read.expires_at, read.jti) == (claims["iat"], claims["exp"], claims["jti"])


@pytest.mark.parametrize("secret", ["the public key", "the secret of the RFC"])
def test_the_token_of_rfc_7515_is_refused_with_whatever_key(secret):
    vector = VECTORS["rfc7515_a1_hs256"]
    shared = {"kty": "oct", "k": vector["key_b64u"], "kid": "k", "alg": "HS256"}
    trusted = keys.KeySet.of([shared] if secret == "the secret of the RFC" else JWKS["keys"])

    with pytest.raises(InvalidTokenError):
        tokens.verify(
            vector["jwt"],
            keys=trusted,
            issuer="joe",
            audience=AUDIENCE,
            now=datetime.fromtimestamp(1300819379, tz=UTC),
            leeway=timedelta(0),
        )


@each_algorithm
def test_a_token_that_others_refuse_is_refused_for_the_same(algorithm):
    text = tokens.sign(replace(TOKEN, audience="https://other.example/"), key=MADE[algorithm])

    with pytest.raises(pyjwt.InvalidAudienceError):
        read_by_pyjwt(text)
    with pytest.raises(InvalidTokenError):
        verify(text)


def verify(text):
    return tokens.verify(
        text,
        keys=keys.KeySet.from_jwks(JWKS),
        issuer=ISSUER,
        audience=AUDIENCE,
        now=datetime.fromtimestamp(_NOW, tz=UTC),
        leeway=timedelta(0),
    )
