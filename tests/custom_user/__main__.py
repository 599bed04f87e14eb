"""Make the tables in memory, try everything and print what came of it: ``python -m tests.custom_user``."""

from __future__ import annotations

import json
import os
import sys

import django
from django.core.management import call_command
from django.test.utils import setup_test_environment

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.custom_user.settings"
    django.setup()
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from apikeys.testing import cheap_hashes
    from tests.custom_user.journeys import journeys

    with cheap_hashes():
        json.dump(journeys(), sys.stdout)
