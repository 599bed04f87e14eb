"""Names of a package that load on first use (PEP 562): importing it, or one of them, imports no other module of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    Return ``__getattr__`` and ``__dir__`` of *package*, whose names are in the modules of it that *homes* says.

    The package imports the same names under ``TYPE_CHECKING``, because a type checker reads no dict.
    """

    def load(name: str) -> Any:
        if name not in homes:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(f".{homes[name]}", package), name)

    def listed() -> list[str]:
        return sorted(homes)

    return load, listed
