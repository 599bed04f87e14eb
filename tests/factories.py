"""People and clients for tests. Keys come from ``apikeys.testing.make_key``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from factory.base import Factory
from factory.declarations import Sequence
from factory.django import DjangoModelFactory
from factory.helpers import post_generation

from apikeys import clients
from apikeys.models import Client

# What a factory's call returns is what it makes, which its types don't say: any class passes for anything.
_Factory: Any = Factory
_ModelFactory: Any = DjangoModelFactory


class UserFactory(_ModelFactory):  # type: ignore[misc]  # see above
    """Somebody without any right."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = Sequence(lambda number: f"person-{number}")


class PersonFactory(UserFactory):
    """A member of staff. ``rights`` are codenames of permissions of this app."""

    is_staff = True

    @post_generation
    def rights(self: Any, create: bool, extracted: Iterable[str] | None, **options: Any) -> None:
        rights = Permission.objects.filter(content_type__app_label="apikeys", codename__in=extracted or ())
        self.user_permissions.set(rights)


class ClientFactory(_Factory):  # type: ignore[misc]  # see above
    """A client that may hold ``todo:read`` and ``todo:write``, made as the app makes them."""

    class Meta:
        model = Client

    name = Sequence(lambda number: f"App {number}")
    allowed_scopes = ("todo:read", "todo:write")

    if TYPE_CHECKING:

        def __new__(cls, **fields: Any) -> Any: ...

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **fields: Any) -> Client:
        return clients.create(**fields)
