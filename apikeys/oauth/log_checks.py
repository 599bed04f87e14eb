"""What the libraries below may write into the project's logs, and the check of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  # the check's own word

from ..checks import TAG

_LIBRARIES = ("oauthlib", "oauth2_provider")


def quiet_libraries() -> None:
    """
    Keep the lines for debugging of oauthlib and the toolkit out of the log, which tell codes and tokens.

    A level that the project set for one of the two by name stays.
    """
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)


@register(Tags.security, TAG, deploy=True)
def check_levels(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each logger whose lines for debugging reach the log, and not by a logger above it."""
    telling = [name for name in _names() if logging.getLogger(name).isEnabledFor(logging.DEBUG) and _is_set(name)]
    return [
        Warning(
            f"The logger '{name}' logs at the level DEBUG: codes and tokens are in these lines.",
            hint=f"Give it a level of its own in LOGGING: {{'loggers': {{'{name}': {{'level': 'INFO'}}}}}}.",
            id="apikeys.W217",
        )
        for name in telling
    ]


def _names() -> list[str]:
    """Return the libraries' loggers, and those below them that there are by now."""
    below = [
        name
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and name.startswith(tuple(f"{library}." for library in _LIBRARIES))
    ]
    return [*_LIBRARIES, *sorted(below)]


def _is_set(name: str) -> bool:
    """Whether the logger *name* has a level of its own, or is the one to give one to."""
    return name in _LIBRARIES or logging.getLogger(name).level != logging.NOTSET
