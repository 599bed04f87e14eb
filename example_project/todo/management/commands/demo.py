"""``demo``: from nothing to a running server and a line to paste."""

from __future__ import annotations

import errno
import os
import socket
from datetime import timedelta
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from apikeys import keys
from apikeys.issuance import IssuedKey
from apikeys.models import APIKey, RevocationReason
from example_project.todo import story

_ADDRESS = "127.0.0.1"
_NAME = "Printed by make demo"


class Command(BaseCommand):
    """Migrate, seed, print a key, serve."""

    help = "Start the demonstration. The environment variable PORT chooses another port than 8000."

    @sensitive_variables("issued", "header", "server")
    def handle(self, *args: Any, **options: Any) -> None:
        port = _port()
        _require_free(port)
        call_command("migrate", verbosity=0, interactive=False)
        self.stdout.write(self.style.MIGRATE_HEADING("Pied Piper Todo: one API, four apps, two users."))
        call_command("seed_demo", stdout=self.stdout)
        issued = _issue()
        site = f"http://{_ADDRESS}:{port}"
        header = f'-H "Authorization: Bearer {issued.plaintext}"'
        server = _Server()
        server.greeting = f"""
Richard's to-dos, with a read-only key of the web app (200):
  curl {header} {site}/api/todos/
It may only read (403, and the answer says which permission is missing):
  curl -d "title=Buy milk" {header} {site}/api/todos/
Home page:
  {site}/
Web app:
  {site}/todos/    {story.RICHARD.username} / {story.RICHARD.password}
Admin, where that key can be revoked, so that the first line answers 401:
  {site}/admin/    {story.GILFOYLE.username} / {story.GILFOYLE.password}
"""
        call_command(server, f"{_ADDRESS}:{port}", use_reloader=False)


class _Server(RunserverCommand):
    #: Holds the key.
    greeting = ""

    def on_bind(self, server_port: int) -> None:
        # Only now: a line that is pasted as soon as it stands there is answered.
        self.stdout.write(self.greeting)
        super().on_bind(server_port)
        self.stdout.flush()


def _port() -> int:
    text = os.environ.get("PORT", "") or "8000"
    if not (text.isdecimal() and 0 < int(text) < 2**16):
        message = f"PORT={text} is not a port."
        raise CommandError(message)
    return int(text)


def _require_free(port: int) -> None:
    with socket.socket() as listener:
        # As the server does, so that a port whose connections are still winding down counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_ADDRESS, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            message = f"Port {port} is taken. Choose another one, for example: PORT={port + 1} make demo"
            raise CommandError(message) from error


@transaction.atomic
def _issue() -> IssuedKey:
    client = story.client_of(story.WEB)
    for earlier in APIKey.objects.working().filter(client=client, name=_NAME):
        # Its secret was printed in a terminal that may be long gone.
        keys.revoke(earlier, reason=RevocationReason.REPLACED, source="command")
    return keys.issue(
        client,
        name=_NAME,
        scopes=["todo:read"],
        owner=story.user_of(story.RICHARD),
        lifetime=timedelta(days=1),
        note=story.VISITOR_NOTE,
        source="command",
    )
