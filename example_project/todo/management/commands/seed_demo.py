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
        people = get_user_model()._default_manager
        active = people.filter(is_active=True)
        counts = [
            _counted(active.filter(is_superuser=False).count(), "user", "users"),
            _counted(active.filter(is_superuser=True).count(), "administrator", "administrators"),
            _counted(people.filter(is_active=False).count(), "disabled person", "disabled people"),
            _counted(Todo.objects.count(), "to-do", "to-dos"),
            _counted(Client.objects.filter(resource=None).count(), "app", "apps"),
            _counted(Client.objects.exclude(resource=None).count(), "API server", "API servers"),
            _counted(APIKey.objects.count(), "key", "keys"),
            _counted(KeyEvent.objects.count(), "event", "events"),
        ]
        self.stdout.write(f"Seeded: {', '.join(counts)}.")
        for person in story.PEOPLE:
            self.stdout.write(f"  {person.name:<9} {person.username} / {person.password} ({person.role})")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
