"""The settings of the test suite, with connections that are kept: opening one takes longer than a request."""

from __future__ import annotations

from tests import settings as usual
from tests.settings import *  # noqa: F403

DATABASES = {"default": {**usual.DATABASES["default"], "CONN_MAX_AGE": 600}}
