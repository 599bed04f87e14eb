"""Views outside of the transactions that ``ATOMIC_REQUESTS`` puts around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import connections, transaction
from django.http.response import HttpResponseBase

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def in_no_transaction(view: View) -> View:
    """Return *view*, which gets no transaction of ``ATOMIC_REQUESTS``, of whichever database."""
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view
