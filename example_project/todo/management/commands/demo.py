"""``demo``: from nothing to a running server and a line to paste."""

from __future__ import annotations

import errno
import socket
import subprocess
from datetime import timedelta
from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from apikeys import keys, usage
from apikeys.issuance import IssuedKey
from apikeys.models import APIKey, Client, RevocationReason
from apikeys.oauth import applications
from example_project.api_servers.handover import ServerHandover
from example_project.outside.handover import Handover, Registration
from example_project.todo import programs, story

_ADDRESS = "127.0.0.1"
_NAME = "Printed by make demo"


class Command(BaseCommand):
    """Migrate, seed, print a key, serve, with the programs outside and the API servers beside it."""

    help = "Start the demonstration. The environment variable PORT chooses other ports than 8000 to 8004."
    # The server checks, once the port is known to be one.
    requires_system_checks = []

    @sensitive_variables("issued", "header", "token", "server")
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            port = programs.site_port()
        except ValueError as error:
            raise CommandError(str(error)) from error
        for ports_on in (0, *(program.ports_on for program in programs.PROGRAMS)):
            _require_free(port + ports_on, first=port)
        call_command("migrate", verbosity=0, interactive=False)
        self.stdout.write(self.style.MIGRATE_HEADING("Pied Piper Todo: one API, four apps, two users."))
        call_command("seed_demo", stdout=self.stdout)
        # What visitors did since it ran last; on a server that is up, a job does it every hour, as the next.
        usage.rollup()
        call_command("rotate_signing_key", stdout=StringIO(), verbosity=0)
        issued = _issue()
        started = [_start_outside(program, port=port) for program in (programs.HOOLI, programs.PIPER)]
        started += [_start_server(server, port=port) for server in story.SERVERS]
        site = f"http://{_ADDRESS}:{port}"
        header = f'-H "Authorization: Bearer {issued.plaintext}"'
        token = (
            f"$(curl -s -u {issued.key.client.client_id}:{issued.plaintext} -d grant_type=client_credentials "
            f"-d scope=todo:read -d resource={story.SUMMARIES.resource} "
            f"{settings.APIKEYS['ISSUER']}/token | grep -o 'eyJ[^\"]*')"
        )
        server = _Server()
        server.greeting = f"""
Richard's to-dos, with a read-only key of the web app (200):
  curl {header} {site}/api/todos/
It may only read (403, and the answer says which permission is missing):
  curl -d "title=Buy milk" {header} {site}/api/todos/
Sharing, an API server that asks this site about the key (200):
  curl {header} {programs.addresses()["sharing"]}{story.SHARING.path}
Summaries, an API server that reads signed tokens by itself: this site gives one for the key (200):
  curl -H "Authorization: Bearer {token}" {programs.addresses()["summaries"]}{story.SUMMARIES.path}
Home page:
  {site}/
Web app:
  {site}/todos/    {story.RICHARD.username} / {story.RICHARD.password}
Apps of their own, which sign in with OAuth: Hooli's summariser, and Pied Piper's watch:
  {programs.addresses()["hooli"]}/
  {programs.addresses()["piper"]}/watch/
Admin, where that key can be revoked, so that every line above answers 401:
  {site}/admin/    {story.GILFOYLE.username} / {story.GILFOYLE.password}
"""
        try:
            call_command(server, f"{_ADDRESS}:{port}", use_reloader=False)
        finally:
            for process in started:
                process.kill()
                process.wait()


class _Server(RunserverCommand):
    #: Holds the key.
    greeting = ""

    def on_bind(self, server_port: int) -> None:
        # Only now: a line that is pasted as soon as it stands there is answered.
        self.stdout.write(self.greeting)
        super().on_bind(server_port)
        self.stdout.flush()


def _require_free(port: int, *, first: int) -> None:
    with socket.socket() as listener:
        # As the server does, so that a port whose connections are still winding down counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_ADDRESS, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            message = (
                f"Port {port} is taken, and the demonstration needs {first} to {first + len(programs.PROGRAMS)}. "
                f"Choose others, for example: PORT={first + 10} make demo"
            )
            raise CommandError(message) from error


@sensitive_variables("apps", "handover")
def _start_outside(program: programs.Program, *, port: int) -> subprocess.Popen[str]:
    """Start *program* with secrets of this start."""
    apps = {app.alias: _registration(app) for app in story.APPS if app.program is program}
    handover = Handover(port=port + program.ports_on, site=f"http://{_ADDRESS}:{port}", apps=apps)
    return _start(program, handover)


@sensitive_variables("handover")
def _start_server(server: story.Server, *, port: int) -> subprocess.Popen[str]:
    """Start *server* with a key of this start."""
    handover = ServerHandover(
        port=port + server.program.ports_on,
        issuer=settings.APIKEYS["ISSUER"],
        audience=server.resource,
        authority_key=_key_of_client(server, name=story.OF_SERVER, scopes=["apikeys:introspect"]),
        # Who tries it out waits.
        seconds={"REVOCATIONS_POLL_INTERVAL": 1},
    )
    return _start(server.program, handover)


@sensitive_variables("handover")
def _start(program: programs.Program, handover: programs.Handover) -> subprocess.Popen[str]:
    try:
        return programs.start(program, handover)
    except programs.ProgramError as error:
        raise CommandError(str(error)) from error


@sensitive_variables("secret", "key")
def _registration(app: story.App) -> Registration:
    client = story.client_of(app)
    secret = None
    if app.keeps_a_secret:
        secret = applications.replace_secret(client.client_application, source="command")
    # It says who calls, and acts for nobody.
    key = _key_of_client(app, name=story.BESIDE_TOKENS, scopes=["profile:read"]) if app is story.WEB else None
    return Registration(client_id=client.client_id, client_secret=secret, api_key=key)


@transaction.atomic
def _issue() -> IssuedKey:
    client = story.client_of(story.WEB)
    # Its secret was printed in a terminal that may be long gone.
    _revoke_earlier(client, name=_NAME)
    return keys.issue(
        client,
        name=_NAME,
        scopes=["todo:read"],
        owner=story.user_of(story.RICHARD),
        lifetime=timedelta(days=1),
        note=story.VISITOR_NOTE,
        source="command",
    )


@transaction.atomic
def _key_of_client(holder: story.App | story.Server, *, name: str, scopes: list[str]) -> str:
    """Return a key of the client *holder* itself, in place of the one of an earlier start."""
    client = story.client_of(holder)
    _revoke_earlier(client, name=name)
    return keys.issue(
        client,
        name=name,
        scopes=scopes,
        owner=None,
        lifetime=timedelta(days=1),
        source="command",
    ).plaintext


def _revoke_earlier(client: Client, *, name: str) -> None:
    for earlier in APIKey.objects.working().filter(client=client, name=name):
        keys.revoke(earlier, reason=RevocationReason.REPLACED, source="command")
