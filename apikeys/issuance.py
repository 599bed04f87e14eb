"""A new key: its text, its verifier and its row. ``keys`` decides whether there may be one."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import IntegrityError, router, transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from . import guard, policy, tag_secrets
from .conf import settings
from .core import keyformat
from .core.errors import HashingFailedError, TooManyHashesError
from .models import APIKey


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key and its plaintext, which exists nowhere else and can't be had again."""

    key: APIKey
    plaintext: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class HashedText:
    """A key text that no row has yet, and what its proofs will be checked against."""

    text: keyformat.UntaggedKey
    verifier: str = field(repr=False)


class NewSecret:
    """A hashed text for one key: whoever takes it is the last."""

    def __init__(self, hashed: HashedText) -> None:
        self._untaken = [hashed]

    @property
    def is_taken(self) -> bool:
        """Whether a key has it, or was to have it."""
        return not self._untaken

    def take(self) -> HashedText:
        """
        Return the hashed text, and forget it.

        Raises:
            LookupError: If it was taken before. Two keys must never share a secret.
        """
        if self.is_taken:
            message = "This secret was taken. Make another one for each key."
            raise LookupError(message)
        return self._untaken.pop()


@sensitive_variables()
def new_secret() -> NewSecret:
    """
    Return a new key text and its verifier, without a query.

    Call it outside of every lock: the hash takes milliseconds, and waits for its turn. Threads may: it runs beside the
    interpreter.

    Raises:
        HashingFailedError: If there was not enough memory to hash it, or no turn came in time.
    """
    text = keyformat.generate(prefix=settings.PREFIX, mode=settings.MODE)
    try:
        with guard.turn():
            verifier = settings.hasher.hash(text.body)
    except TooManyHashesError as error:
        # That one is the answer to a request with a key, and has no sentence.
        raise HashingFailedError(_("Too many keys are being checked at this moment. Try again shortly.")) from error
    return NewSecret(HashedText(text=text, verifier=verifier))


@sensitive_variables()
def insert(key: APIKey, secret: NewSecret) -> IssuedKey:
    """
    Insert *key* with *secret*, in the caller's transaction.

    Raises:
        AlreadyIssuedError: If its form made a key in the meantime.
        AlreadyRotatedError: If what it replaces was replaced in the meantime.
    """
    database = router.db_for_write(APIKey)
    new = secret.take()
    key.key_id, key.verifier = new.text.key_id, new.verifier
    key.family = key.family or key.key_id
    plaintext = new.text.tagged(tag_secrets.newest())
    try:
        with transaction.atomic(using=database):
            key.save(using=database, force_insert=True)
    except IntegrityError:
        # The database decides races: the same form twice at once, or two rotations of one key.
        policy.refuse_repeated_form(key.form_id)
        if key.replaces is not None:
            policy.refuse_replaced(key.replaces)
        raise
    return IssuedKey(key=key, plaintext=plaintext)
