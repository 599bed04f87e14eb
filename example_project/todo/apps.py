"""The to-do service: its API, its web pages, its demonstration."""

from __future__ import annotations

from django.apps import AppConfig


class TodoConfig(AppConfig):
    """People's to-dos."""

    name = "example_project.todo"
    verbose_name = "Pied Piper Todo"
    default_auto_field = "django.db.models.BigAutoField"
