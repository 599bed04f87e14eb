"""What an app above leaves to be done after a response."""

from __future__ import annotations

import pytest

from apikeys import pending
from apikeys.signals import request_counted
from apikeys.testing import make_key

from .request_path import whoami

pytestmark = pytest.mark.django_db


def test_a_fault_of_one_task_costs_neither_the_response_nor_the_next_task(caplog):
    def fail():
        raise ZeroDivisionError

    def leave_both(**_what):
        pending.leave(pending.Task(write=fail))
        pending.leave(pending.Task(write=lambda: done.append("next")))

    done: list[str] = []
    request_counted.connect(leave_both)
    try:
        response = whoami(make_key())
    finally:
        request_counted.disconnect(leave_both)

    assert response.status_code == 200
    assert done == ["next"]
    assert [record.left for record in caplog.records if record.name == "apikeys.auth"] == ["Task"]
