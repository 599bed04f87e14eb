"""
The tests' project as an authority, on the tests' database, for servers: ``tests.authority_server:application``.

Its name is in ``VARIABLE``, so that nothing serves where that is not set.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import timedelta
from typing import Any

import django
from django.conf import settings
from django.db import connection

#: Database, issuer, and settings of ``APIKEYS`` in seconds, as JSON, because all of a server's processes read it.
VARIABLE = "APIKEYS_TEST_AUTHORITY_SERVER"


def set_up() -> None:
    given: dict[str, Any] = json.loads(os.environ[VARIABLE])
    # A fault is to be seen where the tests' own are.
    logging.basicConfig(level=logging.ERROR)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    settings.ALLOWED_HOSTS = ["*"]
    settings.APIKEYS = {
        **settings.APIKEYS,
        "ISSUER": given["issuer"],
        "REQUIRE_HTTPS": False,
        **{name: timedelta(seconds=seconds) for name, seconds in given["seconds"].items()},
    }
    connection.settings_dict["NAME"] = given["database"]


if VARIABLE in os.environ:
    set_up()
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
