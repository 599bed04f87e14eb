"""``seed_demo``: the data of the demonstration."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apikeys.models import APIKey, Client, KeyEvent
from example_project.todo import seed, story
from example_project.todo.models import Todo


class Command(BaseCommand):
    """Seed, and print who can sign in."""

    help = "Fill the demonstration with made-up people, to-dos, clients and keys. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start-over", action="store_true", help="first delete every to-do, key and client")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("Refusing to add people with known passwords where DEBUG is off.")
        if options["start_over"]:
            seed.start_over()
        else:
            seed.seed()
        counts = {
            "people": get_user_model()._default_manager.count(),
            "to-dos": Todo.objects.count(),
            "clients": Client.objects.count(),
            "keys": APIKey.objects.count(),
            "events": KeyEvent.objects.count(),
        }
        self.stdout.write("Seeded: " + ", ".join(f"{count} {what}" for what, count in counts.items()) + ".")
        for person in story.PEOPLE:
            self.stdout.write(f"  {person.name:<9} {person.username} / {person.password} ({person.role})")
