"""What a project does with its own user model."""

from __future__ import annotations

import io
import itertools
import json
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apikeys import clients
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import ADD, LIST, issue_fields, keys_in
from tests.exchanges import exchange, make_signing_key, poll, told_by
from tests.introspection import Server

_numbers = itertools.count(1)


def journeys() -> dict[str, Any]:
    """Return by name what each journey ends with, or the error that it dies of. Nothing of one is left for the next."""
    tried = [
        check,
        request,
        disabled,
        gone,
        service_key,
        suspended_keys,
        commands,
        issued_for_oneself,
        issued_for_another,
        suggestions,
        tokens,
    ]
    return {journey.__name__: _outcome_of(journey) for journey in tried}


def check() -> Any:
    return "apikeys.W104" in {message.id for message in run_checks(tags=["apikeys"])}


def request() -> Any:
    person = make_person("laurie")

    return answer("/owner/", make_key(owner=person))


def disabled() -> Any:
    person = make_person("jack")
    issued = make_key(owner=person)
    disable(person)

    return answer("/owner/", issued)


def gone() -> Any:
    person = make_person("peter")
    issued = make_key(owner=person)
    person.delete()

    return answer("/owner/", issued)


def service_key() -> Any:
    issued = make_key(owner=None)

    return "admitted" if answer("/apikeys/whoami/", issued)["key_id"] == issued.key.key_id else "somebody else"


def suspended_keys() -> Any:
    off = make_key(owner=make_person("off"), name="client is off")
    clients.disable(off.key.client)
    person = make_person("leaver")
    make_key(owner=person, name="owner left")
    make_key(owner=make_person("stayer"), name="works")
    disable(person)

    page = admin()[0].get(f"{LIST}?status=suspended")
    listed = run("list_keys", "--status", "suspended", "--json")
    on_page = sorted(key.name for key in page.context["cl"].result_list)
    return {"in the admin": on_page, "in the shell": sorted(key["name"] for key in listed["keys"])}


def commands() -> Any:
    client = make_key(owner=make_person("to rotate")).key.client
    left = make_person("left behind")
    make_key(owner=left, client=client)
    disable(left)
    past = make_key(owner=make_person("past")).key
    APIKey.objects.filter(pk=past.pk).update(expires_at=timezone.now() - timedelta(days=1))

    expired = run("expire_keys", "--json")
    rotated = run("rotate_keys", "--client", client.name, "--show-secrets", "--no-input", "--json")
    return {"expired": expired["counts"]["expired"], "rotated": rotated["counts"]["rotated"]}


def issued_for_oneself() -> Any:
    return _issued_on_a_page(for_oneself=True)


def issued_for_another() -> Any:
    return _issued_on_a_page(for_oneself=False)


def _issued_on_a_page(*, for_oneself: bool) -> Any:
    clients.create(name="Web app", allowed_scopes=["todo:read"])
    client, me = admin()
    owner = me if for_oneself else make_person("recipient")
    page = client.post(ADD, issue_fields(owner=owner.get_username()))
    if page.status_code == 200 and not keys_in(page):
        return [message for messages in page.context["form"].errors.values() for message in messages]
    return [answer("/owner/", plaintext)["name"] == owner.get_username() for plaintext in keys_in(page)]


def suggestions() -> Any:
    names = [make_person(f"suggested-{number}").get_username() for number in range(2)]
    found = admin()[0].post(f"{ADD}people/", {"q": "suggested-"}).json()["results"]

    return found == names


def tokens() -> Any:
    make_signing_key()
    server = Server(resource="https://server.example", key=server_key("https://server.example"))
    app = clients.create(name="App", allowed_scopes=["todo:read"], audiences=[server.resource])
    people = [make_person(name) for name in ("works", "disabled", "gone")]
    subjects = [told_by(exchange(make_key(client=app, owner=person)))["sub"] for person in people]
    named = [f"user:{person.pk}" for person in people]
    disable(people[1])
    people[2].delete()

    listed = poll(server)
    return {"named": subjects == named, "disabled": list(listed.owners) == named[1:2], "gone": len(listed.keys)}


def server_key(resource: str) -> Any:
    client = clients.create(name="Server", allowed_scopes=["apikeys:introspect"], resource=resource)
    return make_key(client=client, owner=make_person("operator"))


def make_person(name: str, **fields: Any) -> Any:
    users = get_user_model()
    if users._meta.pk.name != "id":
        # As bad as can be: it reads as the primary key that a client has.
        fields["code"] = f"client:{next(_numbers)}"
    return users._default_manager.create(**{users.USERNAME_FIELD: f"{name}@example.com", **fields})


def disable(person: Any) -> None:
    person.is_active = False
    person.save()


def answer(path: str, key: Any) -> Any:
    response = ApiKeyClient(key).get(path)
    body = response.json()
    return body if response.status_code == 200 else f"{response.status_code} {body['code']}"


def admin() -> Any:
    has_superusers = hasattr(get_user_model(), "is_superuser")
    fields = {"is_staff": True, "is_superuser": True} if has_superusers else {"is_admin": True}
    client, person = Client(), make_person(f"admin-{next(_numbers)}", **fields)
    client.force_login(person)
    return client, person


def run(*argv: str) -> Any:
    out = io.StringIO()
    call_command(*argv, stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


def _outcome_of(journey: Any) -> Any:
    try:
        with transaction.atomic():
            outcome = journey()
            transaction.set_rollback(True)
            return outcome
    except Exception as error:  # noqa: BLE001  # whatever it is, the test tells it
        return f"{type(error).__name__}: {error}"
