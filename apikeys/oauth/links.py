"""The link between a toolkit's application and a client of ours, where it may be used."""

from __future__ import annotations

from typing import Any

from . import rows
from .models import ClientApplication
from .sign_in import SIGN_INS

#: What ends tokens and codes where it is edited.
_SIGN_IN = ("authorization_grant_type", "client_type", "skip_authorization")


def usable(application: Any) -> ClientApplication | None:
    """
    Return the link of *application*, which is taken as it was read, with its client as the database has it now.

    None where the application belongs to no client, the client is disabled, or it signs in another way than one of
    ``SIGN_INS``, such as implicit or password (RFC 9700 sections 2.1.2 and 2.4): nothing is issued then. What was
    issued stops with the client and with the link, but does not ask how the application signs in:
    ``applications.edit``, which sets that, ends it.
    """
    if application is None or application.authorization_grant_type not in SIGN_INS:
        return None
    link = rows.links().filter(application_id=application.pk).first()
    if link is None or not link.client.is_active:
        return None
    link.application = application
    return link


def held(application: Any) -> ClientApplication | None:
    """
    Return the link of *application* as ``usable`` does, locked until the caller's transaction ends.

    None as well where it signs in otherwise than when *application* was read: the edit has ended what there was, and
    nothing of it may come behind. An edit that comes later waits, and ends what is made until then.
    """
    rows.lock_links([application.pk])
    # Only now: what is joined to a locked row may be older than the lock.
    link = rows.links().select_related("application").filter(application_id=application.pk).first()
    if link is None or not link.client.is_active:
        return None
    is_as_read = all(getattr(link.application, name) == getattr(application, name) for name in _SIGN_IN)
    return link if is_as_read else None
