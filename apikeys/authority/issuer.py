"""The authority's name, and the addresses under it. Neither comes from a request, whose ``Host`` anybody writes."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse

from ..conf import settings


def issuer() -> str:
    """
    Return ``ISSUER``: what tokens, introspection and metadata call the authority.

    Raises:
        ImproperlyConfigured: If it is empty. Nothing may be signed in nobody's name.
    """
    name = settings.ISSUER
    if not name:
        message = "apikeys.authority needs APIKEYS['ISSUER'], the address that names it in tokens."
        raise ImproperlyConfigured(message)
    return name


def issuer_path() -> str:
    """Return the path of ``ISSUER`` without a slash at its end; empty where it has none."""
    return urlsplit(issuer()).path.rstrip("/")


def on_this_origin(path: str) -> str:
    """Return the whole address of *path*, which begins with a slash, on the host of ``ISSUER``."""
    parts = urlsplit(issuer())
    return f"{parts.scheme}://{parts.netloc}{path}"


def address_of(view_name: str) -> str:
    """
    Return the whole address of one of ``apikeys.authority.urls``.

    Raises:
        NoReverseMatch: If they are not in the URL configuration.
    """
    return on_this_origin(reverse(f"apikeys_authority:{view_name}"))
