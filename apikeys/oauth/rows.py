"""The toolkit's rows and their links, read where they are written: a replica may lag."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections, router
from django.db.models import QuerySet
from oauth2_provider.models import (
    get_access_token_model,
    get_device_grant_model,
    get_grant_model,
    get_refresh_token_model,
)

from .models import ClientApplication


def links() -> QuerySet[ClientApplication]:
    """Return all links of a client with the toolkit's application, with the clients joined and without the logos."""
    found = ClientApplication.objects.using(router.db_for_write(ClientApplication))
    return found.select_related("client").defer("logo")


def lock_links(application_pks: Iterable[Any]) -> None:
    """Have the links of *application_pks* stay as they are until the caller's transaction ends."""
    found = ClientApplication.objects.using(router.db_for_write(ClientApplication))
    # They alone, and no key of them: what refers to the rows need not wait. In one order, lest two wait for each other.
    no_key = connections[found.db].features.has_select_for_no_key_update
    locked = found.select_for_update(no_key=no_key).filter(application_id__in=list(application_pks))
    list(locked.order_by("application_id").values_list("pk"))


def access_tokens() -> QuerySet[Any]:
    """Return all access tokens."""
    return _written(get_access_token_model())


def refresh_tokens() -> QuerySet[Any]:
    """Return all refresh tokens, those that were revoked as well."""
    return _written(get_refresh_token_model())


def codes() -> QuerySet[Any]:
    """Return all authorization codes that were not exchanged, as digests."""
    return _written(get_grant_model())


def device_grants() -> QuerySet[Any]:
    """Return all requests of devices, answered or not (RFC 8628)."""
    return _written(get_device_grant_model())


def _written(model: Any) -> QuerySet[Any]:
    found: QuerySet[Any] = model._default_manager.using(router.db_for_write(model))
    return found
