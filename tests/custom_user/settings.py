"""The settings of the tests with the user model that ``APIKEYS_TEST_USER_APP`` names, in a database in memory."""

from __future__ import annotations

import os

from tests import settings as usual
from tests.settings import *  # noqa: F403

_app = os.environ["APIKEYS_TEST_USER_APP"]

INSTALLED_APPS = [*usual.INSTALLED_APPS, f"tests.custom_user.{_app}"]
AUTH_USER_MODEL = f"{_app}.Member"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
# Tables as the models say: what migrations make of them is not the question.
MIGRATION_MODULES: dict[str, None] = {
    **{app.rpartition(".")[2]: None for app in INSTALLED_APPS},
    "apikeys_oauth": None,
    "apikeys_authority": None,
}
ROOT_URLCONF = "tests.custom_user.urls"
ALLOWED_HOSTS = ["testserver"]
