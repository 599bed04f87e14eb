"""To-dos, and the one way to reach them: from their owner."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class TodoQuerySet(models.QuerySet["Todo"]):
    """Questions about many to-dos."""

    def owned_by(self, person: Any) -> TodoQuerySet:
        """To-dos of *person*: where every query starts."""
        return self.filter(owner_id=person.pk)


class Todo(models.Model):
    """Something that a person has to do."""

    #: Random: a number that counts up would tell one person how much the others have to do.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="todos", verbose_name=_("owner")
    )
    title = models.CharField(_("title"), max_length=200)
    notes = models.TextField(_("notes"), blank=True, max_length=2000)
    due_on = models.DateField(_("due"), null=True, blank=True)
    is_done = models.BooleanField(_("done"), default=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = TodoQuerySet.as_manager()

    class Meta:
        verbose_name = _("to-do")
        verbose_name_plural = _("to-dos")
        ordering: ClassVar = [F("due_on").asc(nulls_last=True), "title", "pk"]
        indexes: ClassVar = [models.Index(fields=["owner", "due_on"], name="todo_owner_due")]

    def __str__(self) -> str:
        return self.title
