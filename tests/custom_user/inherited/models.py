from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    """Somebody."""

    code = models.CharField(max_length=40, primary_key=True)


class Member(Person):
    """Somebody with a table of their own, whose primary key is a link to the other one."""

    room = models.CharField(max_length=10, blank=True)
