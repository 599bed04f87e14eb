"""Which client, person and keys the options of a command mean, compared exactly whatever the database does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import reset_queries, router
from django.db.models import Q
from django.utils.translation import gettext as _

from ..conf import settings
from ..core import keyformat
from ..models import APIKey, APIKeyQuerySet, Client
from .key_command import WRONG_USE, RefusedError

#: Whatever is this long may be a secret, and is never repeated on a screen.
_LONGEST_ECHO = 40
_BATCH = 500


def all_keys() -> APIKeyQuerySet:
    """Return all keys as the writers see them, with what a row of a table needs."""
    rows = APIKey.objects.using(router.db_for_write(APIKey))
    return rows.select_related("client", "owner", "revocation")


def client_called(text: str) -> Client:
    """
    Return the client with the client id or, else, the name *text*.

    Raises:
        RefusedError: If there is none.
    """
    rows: list[Client] = list(_clients().filter(Q(client_id=text) | Q(name=text)))
    for field in ("client_id", "name"):
        for client in rows:
            if getattr(client, field) == text:
                return client
    message = _("There is no client with the id or name “%(text)s”.") % {"text": text}
    raise RefusedError(message, code="client_unknown", returncode=WRONG_USE)


def few_clients(*, most: int) -> list[Client]:
    """Return the first *most* clients by name."""
    return list(_clients().order_by("name")[:most])


def all_clients() -> Iterator[Client]:
    """Yield all clients by name."""
    return iter(_clients().order_by("name").iterator(chunk_size=_BATCH))


def person_called(username: str) -> Any:
    """
    Return the user with *username*.

    Raises:
        RefusedError: If there is none.
    """
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(username)
    except users.DoesNotExist as error:
        message = _("There is no user called “%(name)s”.") % {"name": username}
        raise RefusedError(message, code="owner_unknown", returncode=WRONG_USE) from error


def of_active_people(rows: APIKeyQuerySet) -> APIKeyQuerySet:
    """Return *rows* without those that act for somebody who is disabled."""
    # A user model may go without the column: then nobody is.
    fields = {field.name for field in get_user_model()._meta.get_fields()}
    return rows.exclude(owner__is_active=False) if "is_active" in fields else rows


def require_key_ids(texts: Sequence[str]) -> list[str]:
    """
    Return *texts*, each once, if all of them are key ids.

    Raises:
        RefusedError: If one is not. A text that looks like a key is not repeated.
    """
    for text in texts:
        key_id = keyformat.key_id_in(text, prefix=settings.PREFIX)
        if key_id or len(text) > _LONGEST_ECHO:
            message = _(
                "Never put a key on a command line: it stays in the shell's history and in the list of processes. "
                "Treat this key as leaked."
            )
            if key_id:
                message += " " + _("Its key id is %(key_id)s.") % {"key_id": key_id}
            raise RefusedError(message, code="key_on_command_line", returncode=WRONG_USE)
        if len(text) != keyformat.KEY_ID_LENGTH or not text.isascii() or not text.isalnum():
            message = _("“%(text)s” is not a key id: 12 letters and digits, shown by list_keys.") % {"text": text}
            raise RefusedError(message, code="key_id_refused", returncode=WRONG_USE)
    return list(dict.fromkeys(texts))


def keys_with_ids(key_ids: Sequence[str]) -> tuple[list[APIKey], list[str]]:
    """Return the keys with *key_ids* in that order, and the ids that no key has."""
    found = {key.key_id: key for key in all_keys().filter(key_id__in=key_ids)}
    return [found[each] for each in key_ids if each in found], [each for each in key_ids if each not in found]


def oldest_first(rows: APIKeyQuerySet, *, limit: int | None = None) -> Iterator[APIKey]:
    """Yield *rows* in batches."""
    rows, after = rows.order_by("pk"), 0
    while batch := list(rows.filter(pk__gt=after)[: _size(limit)]):
        yield from batch
        forget_queries()
        after = batch[-1].pk
        if limit is not None and (limit := limit - len(batch)) <= 0:
            return


def newest_first(rows: APIKeyQuerySet, *, limit: int | None = None) -> Iterator[APIKey]:
    """Yield *rows* in batches."""
    rest = rows = rows.order_by("-pk")
    while batch := list(rest[: _size(limit)]):
        yield from batch
        forget_queries()
        rest = rows.filter(pk__lt=batch[-1].pk)
        if limit is not None and (limit := limit - len(batch)) <= 0:
            return


def forget_queries() -> None:
    """Drop what Django keeps of queries under ``DEBUG``: the text of the last 9,000, with all of their values."""
    if django_settings.DEBUG:
        reset_queries()


def _size(limit: int | None) -> int:
    return _BATCH if limit is None else min(_BATCH, limit)


def _clients() -> Any:
    return Client.objects.using(router.db_for_write(Client))
