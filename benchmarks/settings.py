"""Django's settings of every process: the same for all contenders but for what their packages need."""

from __future__ import annotations

from typing import Any

from . import contenders
from .databases import entry
from .environment import Environment

_environment = Environment.of_process()
_package, _case = contenders.find(_environment.contender)

DEBUG = False
SECRET_KEY = "signs only what benchmarks send to themselves"  # noqa: S105  # it is said here that it is none
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "benchmarks.urls"
MIDDLEWARE: list[str] = []
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", *_package.apps]
DATABASES = {"default": {**entry(_environment, package=_package.name), "CONN_MAX_AGE": 600}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
# People here never log in.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if _environment.redis_url:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _environment.redis_url,
        "KEY_PREFIX": _environment.run,
    }

# Refusals must not be dearer because Django writes a line about each. What fails is shown.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "ERROR"},
    "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
}

globals().update(_package.settings)
globals().update(_case.settings)
