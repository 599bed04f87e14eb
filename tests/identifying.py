"""What the tests of the page "Identify a key" share."""

from __future__ import annotations

import secrets

from tests.admin_pages import LIST
from tests.factories import PersonFactory

IDENTIFY = f"{LIST}identify/"


def somebody(**fields):
    """Return a person of whom no earlier test has counted look-ups: a rolled back one leaves its number to the next."""
    return PersonFactory(pk=secrets.randbelow(2**30), **fields)


def identify(client, text):
    return client.post(IDENTIFY, {"text": text})
