"""Whether keys can get into logs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  # Django's name
from django.utils.log import AdminEmailHandler, RequireDebugTrue

from ..logging import RedactKeys
from . import TAG

_HOW_TO = "docs/how-to/log-without-secrets.md"


@register(Tags.security, TAG, deploy=True)
def check_redaction(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find what writes logs and error reports without masking keys (W205, W229)."""
    # The loggers as they are: LOGGING is not all that makes them, and Django's own handlers stay beside it.
    handlers = list(_handlers())
    return [*_unfiltered(handlers), *_unmasked_reports(handlers)]


def _unfiltered(handlers: list[tuple[str, logging.Handler]]) -> Iterator[CheckMessage]:
    names = [
        f"{type(handler).__name__} of {name!r}"
        for name, handler in handlers
        if not any(isinstance(each, RedactKeys) for each in handler.filters)
    ]
    if not logging.getLogger().handlers:
        names.append("Python's own, for loggers without a handler")
    if names:
        yield Warning(
            f"Log handlers that do not mask keys: {', '.join(names)}.",
            hint="Add the filter apikeys.logging.RedactKeys to each handler, and a handler to the root logger. "
            f"See {_HOW_TO}.",
            id="apikeys.W205",
        )


def _unmasked_reports(handlers: list[tuple[str, logging.Handler]]) -> Iterator[CheckMessage]:
    from ..logging import ExceptionReporter  # noqa: PLC0415  # only with it come Django's templates

    for _name, handler in handlers:
        reporter = getattr(handler, "reporter_class", None)
        if isinstance(handler, AdminEmailHandler) and not (
            inspect.isclass(reporter) and issubclass(reporter, ExceptionReporter)
        ):
            yield Warning(
                "Errors are mailed to ADMINS with addresses and local variables in which keys are not masked.",
                hint=f"Set DEFAULT_EXCEPTION_REPORTER to 'apikeys.logging.ExceptionReporter'. See {_HOW_TO}.",
                id="apikeys.W229",
            )
            return


def _handlers() -> Iterator[tuple[str, logging.Handler]]:
    """Yield what writes in production, with the name of its logger."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        # runserver's, which says so itself, is for no production.
        if not isinstance(logger, logging.Logger) or logger.name == "django.server":
            continue
        for handler in logger.handlers:
            if not _is_silent(handler):
                yield logger.name, handler


def _is_silent(handler: logging.Handler) -> bool:
    if isinstance(handler, logging.NullHandler):
        return True
    if isinstance(handler, AdminEmailHandler) and not django_settings.ADMINS:
        return True
    return not django_settings.DEBUG and any(isinstance(each, RequireDebugTrue) for each in handler.filters)
