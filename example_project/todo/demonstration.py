"""What the pages of the demonstration share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from . import story


def demo_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return *view*, not found unless ``DEBUG`` is on: it asks nobody who they are."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.DEBUG:
            raise Http404
        return view(request, *args, **kwargs)

    return checked


def actors_of(request: HttpRequest) -> tuple[story.Person, story.Person]:
    """Return whom the visitor acts as, ``?as=dinesh``, and whose to-dos should then be out of reach."""
    by_name = {person.username: person for person in story.ACTORS}
    person = by_name.get(request.GET.get("as", story.RICHARD.username))
    if person is None:
        raise Http404
    return person, next(other for other in story.ACTORS if other is not person)
