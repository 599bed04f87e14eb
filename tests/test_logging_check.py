from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks
from django.utils.log import AdminEmailHandler, RequireDebugTrue

from apikeys.logging import RedactKeys

from .documents import ROOT, blocks


@pytest.fixture
def handlers(monkeypatch):
    """Return a function: give the root logger and ``django`` these handlers, and all others none."""
    for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "handlers", [])

    def give(root=(), django=()):
        monkeypatch.setattr(logging.getLogger(), "handlers", list(root))
        monkeypatch.setattr(logging.getLogger("django"), "handlers", list(django))

    return give


def found():
    """Return the messages about handlers and about mails."""
    messages = run_checks(tags=["apikeys"], include_deployment_checks=True)
    return [message for message in messages if message.id in {"apikeys.W205", "apikeys.W229"}]


def filtered(handler, *filters):
    for each in filters:
        handler.addFilter(each)
    return handler


def test_a_handler_without_the_filter_is_named_at_deployment(handlers):
    handlers(root=[filtered(logging.StreamHandler(), RedactKeys())], django=[logging.StreamHandler()])

    [warning] = found()

    assert warning.msg == "Log handlers that do not mask keys: StreamHandler of 'django'."
    assert "apikeys.logging.RedactKeys" in warning.hint


def test_handlers_with_the_filter_are_well(handlers):
    handlers(
        root=[filtered(logging.StreamHandler(), RedactKeys())], django=[filtered(logging.StreamHandler(), RedactKeys())]
    )

    assert found() == []


def test_a_site_without_a_handler_of_its_own_is_told_of_pythons(handlers):
    handlers()

    [warning] = found()

    assert "Python's own" in warning.msg


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(logging.NullHandler(), id="of nothing"),
        pytest.param(filtered(logging.StreamHandler(), RequireDebugTrue()), id="of the debug mode"),
    ],
)
def test_a_handler_that_writes_nothing_in_production_needs_no_filter(handlers, handler):
    handlers(root=[filtered(logging.StreamHandler(), RedactKeys())], django=[handler])

    assert found() == []


def test_mails_to_administrators_need_the_reporter_too(handlers, settings):
    settings.ADMINS = ["richard@example.com"]
    handlers(
        root=[filtered(logging.StreamHandler(), RedactKeys())], django=[filtered(AdminEmailHandler(), RedactKeys())]
    )

    [warning] = found()

    assert warning.id == "apikeys.W229"
    assert "ADMINS" in warning.msg
    assert "apikeys.logging.ExceptionReporter" in warning.hint


def test_mails_to_administrators_with_the_reporter_are_well(handlers, settings):
    settings.ADMINS = ["richard@example.com"]
    settings.DEFAULT_EXCEPTION_REPORTER = "apikeys.logging.ExceptionReporter"
    handlers(
        root=[filtered(logging.StreamHandler(), RedactKeys())], django=[filtered(AdminEmailHandler(), RedactKeys())]
    )

    assert found() == []


def test_mails_to_nobody_need_nothing(handlers, settings):
    settings.ADMINS = []
    handlers(root=[filtered(logging.StreamHandler(), RedactKeys())], django=[AdminEmailHandler()])

    assert found() == []


def checked_at_deployment(settings, *, path=ROOT):
    environ = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "DJANGO_SETTINGS_MODULE": settings}
    return subprocess.run(
        [sys.executable, "-m", "django", "check", "--deploy", "--tag", "apikeys"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_project_masks_keys_in_all_that_it_logs():
    checked = checked_at_deployment("example_project.settings")

    assert checked.returncode == 0
    assert [name for name in ("apikeys.W205", "apikeys.W229") if name in checked.stderr] == []


@pytest.mark.parametrize("documented", [True, False], ids=["as documented", "not at all"])
def test_the_settings_of_the_how_to_satisfy_the_check(tmp_path, documented):
    block = blocks(ROOT / "docs" / "how-to" / "log-without-secrets.md", "python")[0]
    lines = ["from tests.settings import *", 'ADMINS = ["richard@example.com"]', block if documented else ""]
    (tmp_path / "with_logging.py").write_text("\n".join(lines))

    checked = checked_at_deployment("with_logging", path=tmp_path)

    assert checked.returncode == 0
    assert [checked.stderr.count(name) for name in ("apikeys.W205", "apikeys.W229")] == (
        [0, 0] if documented else [1, 1]
    )
