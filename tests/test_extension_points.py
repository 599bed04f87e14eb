"""A credential kind of a project's own: one scheme, one verifier, no change here."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import pytest

from apikeys import keys
from apikeys.core.credentials import Credential, Proof, RequestParts, SecretProof
from apikeys.core.schemes import Scheme
from apikeys.core.verifiers import Hasher, Verifier
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, kw_only=True)
class SignatureProof(Proof):
    signature: str = field(repr=False)


class SignatureScheme(Scheme):
    """Reads ``Authorization: Signed <key id> <signature>``."""

    def read(self, parts: RequestParts) -> Credential | None:
        words = parts.headers.get("authorization", "").split()
        if len(words) != 3 or words[0] != "Signed":
            return None
        return Credential(key_id=words[1], proof=SignatureProof(signature=words[2]))


class SignatureVerifier(Verifier):
    """Compares a signature with one over nothing, which is enough for a test."""

    algorithm = "signed"
    proof_type = SignatureProof
    is_slow = False

    def matches(self, proof, verifier):
        return hmac.compare_digest(proof.signature, verifier.partition("$")[2])


class QuickHasher(Hasher):
    """Stores a plain digest."""

    algorithm = "quick"

    def hash(self, secret):
        return f"quick${hashlib.sha256(secret.encode()).hexdigest()}"

    def matches(self, proof, verifier):
        return hmac.compare_digest(self.hash(proof.text), verifier)

    def needs_rehash(self, verifier):
        return False


@pytest.fixture
def signed_key(settings):
    settings.APIKEYS = {
        **settings.APIKEYS,
        "SCHEMES": ["apikeys.core.schemes.KeyScheme", f"{__name__}.SignatureScheme"],
        "VERIFIERS": ["apikeys.core.verifiers.Argon2idHasher", f"{__name__}.SignatureVerifier"],
    }
    issued = make_key()
    APIKey.objects.filter(pk=issued.key.pk).update(verifier="signed$right")
    return issued


def present(key_id, signature, **headers):
    client = ApiKeyClient()
    return client.get("/apikeys/whoami/", headers={"authorization": f"Signed {key_id} {signature}", **headers})


def test_another_credential_kind_is_verified_by_its_own_verifier(signed_key):
    assert present(signed_key.key.key_id, "right").status_code == 200


@pytest.mark.parametrize("known", [True, False], ids=["wrong proof", "unknown id"])
def test_a_wrong_proof_of_another_kind_is_refused(signed_key, known):
    response = present(signed_key.key.key_id if known else "nobodysKeyId", "wrong")

    assert (response.status_code, response.json()["code"]) == (401, "key_invalid")


def test_a_credential_without_tag_is_told_the_state_of_its_key_only_once_it_is_proven(signed_key):
    keys.revoke(signed_key.key, reason="leaked")

    assert present(signed_key.key.key_id, "wrong").json()["code"] == "key_invalid"
    assert present(signed_key.key.key_id, "right").json()["code"] == "key_revoked"


def test_the_stored_key_picks_the_verifier_and_a_secret_is_no_signature(signed_key):
    response = ApiKeyClient(signed_key).get("/apikeys/whoami/")

    assert (response.status_code, response.json()["code"]) == (401, "key_invalid")


def test_a_signature_is_no_secret(signed_key):
    issued = make_key()

    assert present(issued.key.key_id, "right").status_code == 401


def test_two_credentials_of_different_kinds_are_ambiguous(signed_key):
    response = present(signed_key.key.key_id, "right", **{"x-api-key": signed_key.plaintext})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_a_new_hasher_needs_no_migration_and_takes_over_on_the_next_use(settings):
    issued = make_key()
    settings.APIKEYS = {
        **settings.APIKEYS,
        "VERIFIERS": [f"{__name__}.QuickHasher", "apikeys.core.verifiers.Argon2idHasher"],
    }

    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200

    issued.key.refresh_from_db()
    assert issued.key.verifier.startswith("quick$")
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200


def test_an_algorithm_that_no_verifier_knows_is_refused():
    issued = make_key()
    APIKey.objects.filter(pk=issued.key.pk).update(verifier="md5$abc")

    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 401


class QueryScheme(Scheme):
    """Reads a secret off the query, which nobody should."""

    def read(self, parts):
        if not parts.query_string.startswith("secret="):
            return None
        return Credential(key_id="0" * 12, proof=SecretProof(text=parts.query_string))


def test_a_scheme_of_the_project_is_asked_beside_a_key_that_was_let_in_before(settings):
    schemes = ["apikeys.core.schemes.KeyScheme", f"{__name__}.QueryScheme"]
    settings.APIKEYS = {**settings.APIKEYS, "SCHEMES": schemes}
    client = ApiKeyClient(make_key())
    assert client.get("/apikeys/whoami/").status_code == 200

    response = client.get("/apikeys/whoami/?secret=of-somebody-else")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
