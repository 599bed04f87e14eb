"""Private keys at rest, encrypted by ``SIGNING_KEY_SECRETS``: a copy of the database signs nothing."""

from __future__ import annotations

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core.errors import APIKeysError
from ..signed.keys import PrivateKey, SigningKeyError, read_private


class SealError(APIKeysError):
    """A private key can't be sealed or opened here. The text holds neither key nor secret."""

    code = "signing_key_secrets"


@sensitive_variables()
def sealed(key: PrivateKey) -> str:
    """
    Return the private JWK of *key*, encrypted by the first secret.

    Raises:
        SealError: If there is no secret, or one that is no Fernet key.
    """
    return _fernet().encrypt(json.dumps(key.private_jwk()).encode()).decode()


@sensitive_variables()
def opened(text: str, *, kid: str) -> PrivateKey:
    """
    Return the private key that was sealed as *text* under the name *kid*.

    Raises:
        SealError: If no secret opens it, or it is another key.
    """
    fernet = _fernet()
    try:
        key = read_private(fernet.decrypt(text.encode()).decode())
    except InvalidToken:
        raise SealError(f"None of SIGNING_KEY_SECRETS opens the signing key {kid}.") from None
    except SigningKeyError as error:
        raise SealError(f"The signing key {kid} can't be used: {error}") from None
    if key.kid != kid:
        raise SealError(f"What is stored as the signing key {kid} is another one.")
    return key


@sensitive_variables()
def resealed(text: str) -> str | None:
    """
    Return what *text* says, encrypted by the first secret; None where it is that already.

    Raises:
        SealError: If no secret opens it.
    """
    fernets = _fernets()
    try:
        fernets[0].decrypt(text.encode())
    except InvalidToken:
        pass
    else:
        return None
    try:
        return MultiFernet(fernets).rotate(text.encode()).decode()
    except InvalidToken:
        raise SealError("None of SIGNING_KEY_SECRETS opens it.") from None


def _fernet() -> MultiFernet:
    return MultiFernet(_fernets())


@sensitive_variables()
def _fernets() -> list[Fernet]:
    if not settings.SIGNING_KEY_SECRETS:
        raise SealError("APIKEYS['SIGNING_KEY_SECRETS'] is empty: signing keys can be neither stored nor read.")
    try:
        return [Fernet(secret) for secret in settings.SIGNING_KEY_SECRETS]
    except (TypeError, ValueError):
        # The cause may quote the secret.
        raise SealError("APIKEYS['SIGNING_KEY_SECRETS'] holds something that is no Fernet key.") from None
