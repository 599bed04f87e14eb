"""What OAuth may ask for: the registry's scopes, under the client's ceiling, never the app's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oauth2_provider.scopes import BaseScopes

from ..models import Client
from ..registry import scope_registry, unreserved_scopes
from .links import usable
from .models import Consent


def available(client: Client) -> list[str]:
    """Return what *client* may ask for, in the order of declaration: declared, under its ceiling, not reserved."""
    ceiling = set(client.allowed_scopes)
    return [name for name in unreserved_scopes() if name in ceiling]


def minimum(client: Client, *, names: Iterable[str]) -> list[str]:
    """Return what counts of *names* for *client*, in the order of declaration."""
    wanted = set(names)
    return [name for name in available(client) if name in wanted]


def narrowed(names: Iterable[str], *, client: Client, consent: Consent | None) -> list[str]:
    """
    Return what still counts of *names*, which were granted before: for *client*, and by *consent* where one is given.

    None as *consent* is for a client that acts for itself. A token for a person needs theirs.
    """
    wanted = set(names)
    if consent is not None:
        wanted &= set(consent.scopes)
    return minimum(client, names=wanted)


class RegistryScopes(BaseScopes):  # type: ignore[misc]  # the toolkit ships no types
    """The toolkit's scopes back-end over the project's scope registry."""

    def get_all_scopes(self) -> dict[str, str]:
        registry = scope_registry()
        return {name: str(registry[name].text) for name in unreserved_scopes()}

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        if application is None:
            return unreserved_scopes()  # what a metadata document lists
        link = usable(application)
        return [] if link is None else available(link.client)

    def get_default_scopes(self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any) -> list[str]:
        # Empty where nothing is declared: the validator then refuses.
        link = usable(application)
        return [] if link is None else minimum(link.client, names=link.minimum_scopes)
