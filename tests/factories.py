"""Rows for tests. Keys and clients come through their writers, as in production."""

from __future__ import annotations

from typing import Any

import factory
from django.contrib.auth import get_user_model

from apikeys import clients
from apikeys.models import Client
from apikeys.registry import scope_registry


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda number: f"user{number}")


class ClientFactory(factory.Factory):
    """Made by ``clients.create``; may hold every declared scope unless told otherwise."""

    class Meta:
        model = Client

    name = factory.Sequence(lambda number: f"App {number}")
    allowed_scopes = factory.LazyFunction(lambda: list(scope_registry()))

    @classmethod
    def _create(cls, model_class: type[Client], *args: Any, **kwargs: Any) -> Client:
        return clients.create(**kwargs)
