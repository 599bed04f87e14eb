"""Keys that sign tokens, and the sets of public keys that tokens are checked against (RFC 7517, RFC 7518)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeGuard, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.views.decorators.debug import sensitive_variables
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from .json_text import read_object

_Key = ECKey | OKPKey | RSAKey

_FEWEST_RSA_BITS = 2048
#: Checking a signature of such a key takes a millisecond; of a larger one, too long.
_MOST_RSA_BITS = 8192
_MOST_KID_CHARACTERS = 200
#: What a set may hold. An authority publishes two or three.
_MOST_KEYS = 100


@dataclass(frozen=True, kw_only=True)
class _Algorithm:
    """What one ``alg`` means: the key that it takes, and nothing that a header could say differently."""

    name: str
    key_type: type[_Key]
    members: tuple[str, ...]
    curve: str | None
    implementation: Any


_ALGORITHMS: Final[Mapping[str, _Algorithm]] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            _Algorithm(
                name="ES256",
                key_type=ECKey,
                members=("kty", "crv", "x", "y"),
                curve="P-256",
                implementation=JWSRegistry.algorithms["ES256"],
            ),
            _Algorithm(
                name="EdDSA",
                key_type=OKPKey,
                members=("kty", "crv", "x"),
                curve="Ed25519",
                # By its newer name, which others don't know yet: joserfc warns about the older one (RFC 9864).
                implementation=JWSRegistry.algorithms["Ed25519"],
            ),
            _Algorithm(
                name="RS256",
                key_type=RSAKey,
                members=("kty", "n", "e"),
                curve=None,
                implementation=JWSRegistry.algorithms["RS256"],
            ),
        )
    }
)
_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi")


class SigningKeyError(ValueError):
    """A key that can't be used. The text says why and never shows it."""


@dataclass(frozen=True, kw_only=True)
class PrivateKey:
    """What signs."""

    #: Its name in headers and in the published set; the thumbprint (RFC 7638) unless the key brought another.
    kid: str
    algorithm: str = field(repr=False)
    _key: _Key = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of *message*."""
        return cast("bytes", _ALGORITHMS[self.algorithm].implementation.sign(message, self._key))

    def public_jwk(self) -> dict[str, str]:
        """Return what is published of it."""
        members = _ALGORITHMS[self.algorithm].members
        return self._labelled({name: cast("str", self._key[name]) for name in members})

    def private_jwk(self) -> dict[str, str]:
        """Return all of it: a secret."""
        values = self._key.as_dict(private=True)
        members = (*_ALGORITHMS[self.algorithm].members, *_PRIVATE_MEMBERS)
        return self._labelled({name: cast("str", values[name]) for name in members if name in values})

    def _labelled(self, members: Mapping[str, str]) -> dict[str, str]:
        return {**members, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def generate(algorithm: str) -> PrivateKey:
    """
    Return a new key for ``ES256``, ``EdDSA`` or ``RS256``.

    Raises:
        SigningKeyError: If it is for another algorithm.
    """
    found = _named(algorithm)
    key: _Key
    if found.key_type is RSAKey:
        key = RSAKey.generate_key(_FEWEST_RSA_BITS)
    elif found.key_type is OKPKey:
        key = OKPKey.generate_key("Ed25519")
    else:
        key = ECKey.generate_key("P-256")
    return PrivateKey(kid=key.thumbprint(), algorithm=algorithm, _key=key)


@sensitive_variables()
def read_private(given: str | Mapping[str, Any]) -> PrivateKey:
    r"""
    Return the private key in a PEM, or in a JWK as text or dict.

    In a PEM, line ends may be written as ``\n``, as in files of environment variables.

    Raises:
        SigningKeyError: If there is no private key of a supported kind in it, or a weak one.
    """
    if isinstance(given, str) and not given.lstrip().startswith("{"):
        return _from_pem(given)
    jwk = given
    if isinstance(jwk, str):
        try:
            jwk = read_object(jwk)
        except ValueError:
            # The cause's frames hold the key, and error reports show them.
            raise SigningKeyError("It is no JSON object.") from None
    elif not isinstance(jwk, Mapping):
        raise SigningKeyError("It is neither a PEM nor a JWK.")
    algorithm, key = _imported(jwk, is_private=True)
    kid = jwk.get("kid") if "kid" in jwk else key.thumbprint()
    if not _is_kid(kid):
        raise SigningKeyError("Its kid is no text that a header can carry.")
    return PrivateKey(kid=kid, algorithm=algorithm.name, _key=key)


@sensitive_variables()
def _from_pem(text: str) -> PrivateKey:
    try:
        native: Any = load_pem_private_key(text.replace("\\n", "\n").encode(), password=None)
    except TypeError:
        raise SigningKeyError("It is encrypted by a password.") from None
    except (ValueError, UnsupportedAlgorithm):
        is_public = "PUBLIC KEY-----" in text or "CERTIFICATE-----" in text
        raise SigningKeyError("It is public." if is_public else "It is no private key in PEM.") from None
    for algorithm in _ALGORITHMS.values():
        if algorithm.key_type.binding.check_cryptography_key(native):
            break
    else:
        raise SigningKeyError("It is of a kind that signs nothing here.")
    if algorithm.key_type is RSAKey:
        _require_rsa_size(native.key_size)
    key: _Key = algorithm.key_type.import_key(native)
    try:
        crv = key.get("crv")
    except KeyError:  # joserfc knows no name for it
        crv = "unknown"
    if crv != algorithm.curve:
        raise SigningKeyError(f"Its curve is not {algorithm.curve}.")
    return PrivateKey(kid=key.thumbprint(), algorithm=algorithm.name, _key=key)


class KeySet:
    """The public keys of an authority by their ``kid``. Never changes."""

    def __init__(self, keys: Mapping[str, tuple[_Algorithm, _Key]]) -> None:
        self._keys = dict(keys)
        self.kids: frozenset[str] = frozenset(self._keys)

    @classmethod
    def from_jwks(cls, document: Any) -> KeySet:
        """
        Return the usable keys of a JWK Set (RFC 7517 section 5).

        Raises:
            SigningKeyError: If *document* is no JWK Set.
        """
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise SigningKeyError("It is no JWK Set.")
        if len(listed) > _MOST_KEYS:
            raise SigningKeyError(f"It holds more than {_MOST_KEYS} keys.")
        return cls.of(item for item in listed if isinstance(item, dict))

    @classmethod
    def of(cls, jwks: Iterable[Mapping[str, Any]]) -> KeySet:
        """Return the usable keys of *jwks*: no others, and none whose ``kid`` stands there twice."""
        keys: dict[str, tuple[_Algorithm, _Key]] = {}
        seen: set[str] = set()
        for jwk in jwks:
            kid = jwk.get("kid")
            if not _is_kid(kid):
                continue
            if kid in seen:
                # Which of the two signed is not for a token's sender to choose.
                keys.pop(kid, None)
                continue
            seen.add(kid)
            try:
                keys[kid] = _imported(jwk, is_private=False)
            except SigningKeyError:
                continue
        return cls(keys)

    def __contains__(self, kid: object) -> bool:
        return kid in self.kids

    def algorithm_of(self, kid: str) -> str | None:
        """Return the only algorithm that the key checks; None for a key that is not here."""
        found = self._keys.get(kid)
        return None if found is None else found[0].name

    def has_signed(self, message: bytes, *, signature: bytes, kid: str) -> bool:
        """Whether the key *kid* made *signature*, by its own algorithm."""
        algorithm, key = self._keys[kid]
        return bool(algorithm.implementation.verify(message, signature, key))


def _named(algorithm: object) -> _Algorithm:
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise SigningKeyError(f"Its algorithm is none of {', '.join(_ALGORITHMS)}.")
    return _ALGORITHMS[algorithm]


@sensitive_variables()
def _imported(jwk: Mapping[str, Any], *, is_private: bool) -> tuple[_Algorithm, _Key]:
    """Return the key in *jwk* and what it signs, from its own members alone."""
    algorithm = _algorithm_of(jwk)
    if jwk.get("use", "sig") != "sig":
        raise SigningKeyError("Its use is not sig.")
    operations = jwk.get("key_ops", ["sign", "verify"])
    if not isinstance(operations, list) or ("sign" if is_private else "verify") not in operations:
        raise SigningKeyError("Its key_ops don't allow it.")
    if is_private != ("d" in jwk):
        raise SigningKeyError("It is public." if is_private else "Its private part is no secret any more.")
    members = {name: jwk[name] for name in (*algorithm.members, *_PRIVATE_MEMBERS) if name in jwk}
    if not all(isinstance(value, str) for value in members.values()):
        raise SigningKeyError("Its members are not all text.")
    try:
        if algorithm.key_type is RSAKey:
            # Before joserfc reads it, which warns and goes on.
            _require_rsa_size(_bits(members.get("n", "")))
        native: Any = algorithm.key_type.import_key(members).raw_value
    except SigningKeyError:
        raise
    except (JoseError, ValueError):
        # The cause's frames hold the key, and error reports show them.
        raise SigningKeyError("Its members are missing, malformed or don't belong together.") from None
    # Anew from what was read: members that say something else than the key itself are published by nobody.
    key: _Key = algorithm.key_type.import_key(native)
    if any(key[name] != members[name] for name in algorithm.members):
        raise SigningKeyError("Its public part is not that of its private part, or is not written as it should be.")
    return algorithm, key


def _algorithm_of(jwk: Mapping[str, Any]) -> _Algorithm:
    fitting = [
        algorithm
        for algorithm in _ALGORITHMS.values()
        if jwk.get("kty") == algorithm.key_type.key_type and jwk.get("crv") == algorithm.curve
    ]
    if not fitting:
        raise SigningKeyError("Its kty or crv is of a kind that signs nothing here.")
    if "alg" in jwk and _named(jwk["alg"]) is not fitting[0]:
        raise SigningKeyError("Its alg is not for a key of its kind.")
    return fitting[0]


def _require_rsa_size(bits: int) -> None:
    if not _FEWEST_RSA_BITS <= bits <= _MOST_RSA_BITS:
        raise SigningKeyError(f"It has {bits} bits, not {_FEWEST_RSA_BITS} to {_MOST_RSA_BITS}.")


def _bits(number: str) -> int:
    decoded = base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))
    return int.from_bytes(decoded).bit_length()


def _is_kid(kid: object) -> TypeGuard[str]:
    return isinstance(kid, str) and 0 < len(kid) <= _MOST_KID_CHARACTERS and kid.isascii() and kid.isprintable()
