"""What the processes beside this site go by, which they are told once: it stays when everything else starts over."""

from __future__ import annotations

from dataclasses import dataclass, field

from oauth2_provider.models import get_application_model

from apikeys.models import APIKey, Client
from apikeys.oauth.models import ClientApplication

from . import story


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a process beside this site comes with: the public id, its key, and what its secret is checked against."""

    client_id: str
    key: APIKey | None
    #: None for an API server, which signs nobody in.
    hashed_secret: str | None = field(repr=False)


def credentials() -> dict[str, Credentials]:
    """Return what each process comes with, by the name of the client."""
    keys = APIKey.objects.working().filter(name__in=[story.BESIDE_TOKENS, story.OF_SERVER])
    by_client = {key.client_id: key for key in keys}
    secrets = dict(ClientApplication.objects.values_list("client_id", "application__client_secret"))
    named = Client.objects.filter(name__in=[client.name for client in (*story.APPS, *story.SERVERS)])
    return {
        client.name: Credentials(
            client_id=client.client_id, key=by_client.get(client.pk), hashed_secret=secrets.get(client.pk)
        )
        for client in named
    }


def restore(kept: dict[str, Credentials]) -> None:
    """Let the processes come with *kept* again: they go on running."""
    for name, credentials in kept.items():
        client = Client.objects.get(name=name)
        Client.objects.filter(pk=client.pk).update(client_id=credentials.client_id)
        if credentials.hashed_secret is not None:
            get_application_model()._default_manager.filter(client_application__client=client).update(
                client_id=credentials.client_id, client_secret=credentials.hashed_secret
            )
        if credentials.key is not None:
            credentials.key.pk, credentials.key.client = None, client
            credentials.key.save(force_insert=True)
