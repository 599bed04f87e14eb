"""People and clients for tests. Keys come from ``apikeys.testing.make_key``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from apikeys import clients
from apikeys.models import Client


class UserFactory(factory.django.DjangoModelFactory):
    """Somebody without any right."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda number: f"person-{number}")


class PersonFactory(UserFactory):
    """A member of staff. ``rights`` are codenames of permissions of this app."""

    is_staff = True

    @factory.post_generation
    def rights(self: Any, create: bool, extracted: Iterable[str] | None, **options: Any) -> None:
        rights = Permission.objects.filter(content_type__app_label="apikeys", codename__in=extracted or ())
        self.user_permissions.set(rights)


class ClientFactory(factory.Factory):
    """A client that may hold ``todo:read`` and ``todo:write``, made as the app makes them."""

    class Meta:
        model = Client

    name = factory.Sequence(lambda number: f"App {number}")
    allowed_scopes = ("todo:read", "todo:write")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **fields: Any) -> Client:
        return clients.create(**fields)
