from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.db import IntegrityError, router, transaction
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ... import clients, issuance, keys, policy
from ...core.errors import ClientNameTakenError, ScopeAboveCeilingError
from ...issuance import IssuedKey
from ...models import APIKey, Client, user_name_of
from ...policy import DEFAULT, Lifetime
from ...registry import unreserved_scopes
from .. import columns, delivery, selection
from ..delivery import Destination
from ..durations import lifetime
from ..interruption import Interruption
from ..key_command import WRONG_USE, KeyCommand, RefusedError
from ..output import Column, iso, json_listing

DEFAULT_CLIENT = "Default"
_MOST_NAMED = 20


class Command(KeyCommand):
    """Issues one key."""

    help = (
        "Issue an API key. The key stands alone on the last line of stdout, once; with --output it is the only line of "
        "a new file (mode 0600), with a SECRET_SINK it goes there. Nothing else ever holds it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        holder = parser.add_mutually_exclusive_group(required=True)
        holder.add_argument("--owner", metavar="USERNAME", help="The person that the key acts for.")
        holder.add_argument("--service", action="store_true", help="The key acts for nobody.")
        parser.add_argument("--create-owner", action="store_true", help="Make that person, without a password.")
        parser.add_argument("--name", required=True, help="What people call the key.")
        parser.add_argument("--scope", action="append", metavar="SCOPE", help="What it may do; repeatable.")
        parser.add_argument(
            "--client", metavar="CLIENT", help="Its client: client id or exact name. Default: the only one."
        )
        parser.add_argument("--lifetime", type=lifetime, metavar="TIME", help="How long it works: 30d, 12h or never.")
        parser.add_argument("--network", action="append", metavar="CIDR", help="Where it works from; repeatable.")
        parser.add_argument("--rate", action="append", metavar="RATE", help="How fast: 600/min or 20/s; repeatable.")
        parser.add_argument("--quota", action="append", metavar="QUOTA", help="How much: 100000/month; repeatable.")
        parser.add_argument(
            "--claim", action="append", type=_pair, metavar="NAME=VALUE", help="What it says besides; repeatable."
        )
        parser.add_argument("--note", default="", help="What else there is to know.")
        parser.add_argument("--output", metavar="FILE", help="Write the key to this new file.")
        parser.add_argument("--show-secrets", action="store_true", help="Write the key to stdout though it is a pipe.")
        parser.add_argument("--no-input", action="store_true", help="Changes nothing: this command asks nothing.")
        parser.add_argument(
            "--url",
            default="http://127.0.0.1:8000",
            help="The site, for the line to try the key with. Default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["scope"]:
            message = _("Name at least one --scope. Declared are: %(scopes)s.") % {
                "scopes": ", ".join(unreserved_scopes())
            }
            raise RefusedError(message, code="scopes_empty", returncode=WRONG_USE)
        if options["create_owner"] and options["owner"] is None:
            raise RefusedError(_("--create-owner needs --owner."), code="wrong_use", returncode=WRONG_USE)
        if options["dry_run"]:
            self._preview(options)
            return
        destination = delivery.choose(
            output=options["output"],
            show_secrets=options["show_secrets"],
            to_terminal=self.to_terminal,
            as_json=options["as_json"],
            line_of=_plaintext,
        )
        try:
            with Interruption():
                issued = self._issue(options, keep=True)
                self._deliver(issued, destination, options=options)
        finally:
            if destination is not None:
                destination.close()

    def _preview(self, options: dict[str, Any]) -> None:
        key = self._issue(options, keep=False).key
        if options["as_json"]:
            self._print_json(key, dry_run=True)
        if self._new_owner is not None:
            sentence = _("Would make the user “%(name)s”, who has no password.")
            self.remark(sentence % {"name": user_name_of(self._new_owner)})
        if self._new_client is not None:
            sentence = _("Would make the client “%(client)s”, whose keys may hold: %(scopes)s.")
            self.remark(sentence % _ceiling(self._new_client))
        sentence = _(
            "Would issue “%(name)s” for the client “%(client)s”, owner: %(owner)s, scopes: %(scopes)s, "
            "expires: %(ends)s."
        )
        owner = user_name_of(key.owner) if key.acts_for_user else _("nobody")
        self.remark(sentence % {**_told(key), "owner": owner, "scopes": ", ".join(key.scopes)})
        self.remark(_("Nothing was changed. Run without --dry-run to issue the key."))

    def _issue(self, options: dict[str, Any], *, keep: bool) -> IssuedKey:
        self._new_owner: Any = None
        self._new_client: Client | None = None
        # Before the transaction, which may hold rows, and on SQLite the one writer.
        secret = issuance.new_secret()
        with _one_transaction(keep=keep):
            owner = None if options["service"] else self._owner(options["owner"], create=options["create_owner"])
            try:
                issued = keys.issue(
                    self._client(options["client"]),
                    name=options["name"],
                    scopes=options["scope"],
                    owner=owner,
                    lifetime=_lifetime(options["lifetime"]),
                    allowed_networks=options["network"],
                    rates=options["rate"] or (),
                    quotas=options["quota"] or (),
                    claims=policy.claims_from_texts(options["claim"] or ()),
                    note=options["note"],
                    source="command",
                    secret=secret,
                )
            except ScopeAboveCeilingError as error:
                way_out = _("Change its permissions in the admin (Clients) or with clients.set_ceiling.")
                raise RefusedError(f"{error} {way_out}", code=error.code, returncode=WRONG_USE) from error
        return issued

    def _say_what_was_made(self) -> None:
        if self._new_owner is not None:
            sentence = _("Made the user “%(name)s”, who has no password.")
            self.remark(sentence % {"name": user_name_of(self._new_owner)})
        if self._new_client is not None:
            sentence = _("Made the client “%(client)s”, whose keys may hold: %(scopes)s.")
            self.remark(sentence % _ceiling(self._new_client))

    def _owner(self, username: str, *, create: bool) -> Any:
        if not create:
            return selection.person_called(username)
        users = get_user_model()
        try:
            return users._default_manager.get_by_natural_key(username)
        except users.DoesNotExist:
            self._new_owner = _new_person(username)
            return self._new_owner

    def _client(self, called: str | None) -> Client:
        if called is not None:
            return selection.client_called(called)
        found = selection.few_clients(most=_MOST_NAMED)
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"{client.name} ({client.client_id})" for client in found)
            message = _("Say which --client: %(clients)s.") % {"clients": names}
            raise RefusedError(message, code="client_missing", returncode=WRONG_USE)
        try:
            client = clients.create(name=DEFAULT_CLIENT, allowed_scopes=unreserved_scopes(), source="command")
        except ClientNameTakenError:
            # Another run made it in this moment.
            return selection.client_called(DEFAULT_CLIENT)
        self._new_client = client
        return client

    @sensitive_variables("issued")
    def _deliver(self, issued: IssuedKey, destination: Destination | None, *, options: dict[str, Any]) -> None:
        try:
            self._say_what_was_made()
            if destination is not None:
                destination.deliver(issued)
            elif options["as_json"]:
                self._print_json(issued.key, dry_run=False, plaintext=issued.plaintext)
            else:
                self._print_key(issued, url=options["url"])
        except BaseException:
            # Whatever it was, an interruption too: nobody has the key, so nothing may take it.
            keys.withdraw_undelivered(issued.key, source="command")
            raise
        if destination is not None:
            if options["as_json"]:
                self._print_json(issued.key, dry_run=False)
            self._describe(issued.key, url=options["url"])
            self.remark(_("The key is in %(place)s.") % {"place": destination.name})

    @sensitive_variables("issued")
    def _print_key(self, issued: IssuedKey, *, url: str) -> None:
        is_ready_line = self.to_terminal and django_settings.DEBUG
        self._describe(issued.key, url="" if is_ready_line else url)
        if self.to_terminal:
            self.remark(_("The last line is the key. Copy it now: it can't be shown again."))
        if is_ready_line and (address := _whoami(url)):
            self.stdout.write(_curl(issued.plaintext, address))
        self.stdout.write(issued.plaintext)
        self.stdout.flush()

    def _describe(self, key: APIKey, *, url: str) -> None:
        self.remark(_("Issued “%(name)s” (%(key)s) for the client “%(client)s”, expires: %(ends)s.") % _told(key))
        if url and (address := _whoami(url)):
            self.remark(_curl("$KEY", address))

    def _print_json(self, key: APIKey, *, dry_run: bool, **more: str) -> None:
        listing = json_listing(_columns(), self.stdout, command="issue_key", dry_run=dry_run, limit=None)
        listing.add(key, **more)
        listing.close({"issued": int(not dry_run)})


@contextmanager
def _one_transaction(*, keep: bool) -> Iterator[None]:
    # A refused key leaves neither a person nor a client behind, wherever the router puts them.
    databases = {router.db_for_write(model) for model in (APIKey, Client, get_user_model())}
    with ExitStack() as stack:
        for database in sorted(databases):
            stack.enter_context(transaction.atomic(using=database))
        yield
        for database in databases:
            transaction.set_rollback(not keep, using=database)


def _columns() -> list[Column[APIKey]]:
    return [
        *columns.identity(columns.itself),
        Column(member="scopes", value=lambda key: list(key.scopes)),
        Column(member="expires_at", value=lambda key: iso(key.expires_at)),
        Column(member="allowed_networks", value=lambda key: key.allowed_networks),
        Column(member="rates", value=lambda key: list(key.rates)),
        Column(member="quotas", value=lambda key: list(key.quotas)),
        Column(member="claims", value=lambda key: dict(key.claims)),
    ]


def _ceiling(client: Client) -> dict[str, str]:
    return {"client": client.name, "scopes": ", ".join(client.allowed_scopes)}


def _told(key: APIKey) -> dict[str, str]:
    ends = _("no expiry") if key.expires_at is None else columns.short_instant(key.expires_at)
    return {"name": key.name, "key": key.masked, "client": key.client.name, "ends": ends}


def _lifetime(given: Any) -> Lifetime:
    if given is None:
        return DEFAULT
    return None if given == "never" else given


def _pair(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not (name and is_there):
        raise ArgumentTypeError(_("Write it as NAME=VALUE."))
    return name, value


def _plaintext(issued: IssuedKey) -> str:
    return issued.plaintext


def _new_person(username: str) -> Any:
    users = get_user_model()
    person = users(**{users.USERNAME_FIELD: username})
    person.set_unusable_password()
    others = {field.name for field in users._meta.get_fields() if field.name != users.USERNAME_FIELD}
    try:
        person.clean_fields(exclude=others)
        with transaction.atomic(using=router.db_for_write(users)):
            person.save()
    except ValidationError as error:
        raise RefusedError(" ".join(error.messages), code="owner_refused", returncode=WRONG_USE) from error
    except IntegrityError:
        # Another run made it in this moment; or the user model wants more than a name, and then there is still none.
        return selection.person_called(username)
    return person


def _whoami(url: str) -> str:
    try:
        return url.rstrip("/") + reverse("apikeys:whoami")
    except NoReverseMatch:
        return ""


def _curl(key: str, address: str) -> str:
    return f'curl -H "Authorization: Bearer {key}" {address}'
