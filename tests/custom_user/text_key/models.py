from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Member(AbstractUser):
    """Somebody whose primary key is a word."""

    code = models.CharField(max_length=40, primary_key=True)
