"""The one response that holds a visitor's key."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from apikeys import keys
from apikeys.issuance import IssuedKey
from apikeys.registry import declared

from . import story


@sensitive_variables("issued")
def reveal(request: HttpRequest, issued: IssuedKey, *, app: story.App, person: story.Person) -> HttpResponse:
    """Show *issued*. If that fails nobody has it, and it is withdrawn."""
    try:
        path = reverse("todo-list") if app.acts_for_user else reverse("usage")
        context = {"issued": issued, "app": app, "person": person, "url": request.build_absolute_uri(path)}
        return render(request, "todo/reveal.html", context | {"scopes": declared(issued.key.scopes)})
    except Exception:
        # Whatever it was, nobody saw the key, so it must not go on working.
        keys.withdraw_undelivered(issued.key)
        raise
