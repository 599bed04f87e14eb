"""The home page: who can do what, asked of the API itself. The page links to this file."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from apikeys import keys
from apikeys.core.errors import AlreadyIssuedError, APIKeysError

from . import matrix, programs, roles, seed, steps, story
from .demonstration import actors_of, demo_only
from .reveal import reveal


@demo_only
@never_cache
def home(request: HttpRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    """Show the page; a POST to it asks the API."""
    person, other = actors_of(request)
    try:
        user = story.user_of(person)  # who is there once the data are
        is_asked = request.method == "POST" and not problem
        context: dict[str, Any] = {
            "rows": matrix.rows(person, other=other, origin=request if is_asked else None),
            "steps": steps.steps(),
        }
    except ObjectDoesNotExist:
        return render(request, "todo/empty.html", status=503)
    context |= {
        "person": person,
        "role": roles.of(user),
        "roles": roles.SWITCHED,
        "programs": programs.addresses(),
        "actors": story.ACTORS,
        "columns": matrix.columns(other),
        "is_asked": is_asked,
        "bugs": sum(not cell.is_as_expected for row in context["rows"] for cell in row.cells),
        "apps": story.APPS,
        "administrator": story.GILFOYLE,
        "form_id": uuid.uuid4(),
        "problem": problem,
    }
    return render(request, "todo/home.html", context, status=status)


@demo_only
@never_cache  # which says no-store: the key is in this one response
@require_POST
@sensitive_variables("issued")
def give_key(request: HttpRequest) -> HttpResponse:
    """Issue a key for 15 minutes and show it, once."""
    person, _other = actors_of(request)
    app = next((app for app in story.APPS if app.name == request.POST.get("app")), story.WEB)
    try:
        client = story.client_of(app)
        issued = keys.issue(
            client,
            name=f"15 minutes {secrets.token_hex(4)}",
            scopes=client.allowed_scopes,
            owner=story.user_of(person) if app.acts_for_user else None,
            lifetime=timedelta(minutes=15),
            note=story.VISITOR_NOTE,
            form_id=uuid.UUID(request.POST.get("form_id", "")),
        )
    except AlreadyIssuedError as error:
        return home(request, problem=_("%(issued)s Its secret cannot be shown again.") % {"issued": error}, status=409)
    except (APIKeysError, ObjectDoesNotExist, ValueError) as error:
        return home(request, problem=str(error), status=400)
    return reveal(request, issued, app=app, person=person)


@demo_only
@require_POST
def start_over(request: HttpRequest) -> HttpResponse:
    """Reset the data."""
    seed.start_over()
    messages.success(request, _("All demo data are fresh. Keys that you made no longer exist."))
    return redirect("home")


@demo_only
@require_safe
def code(request: HttpRequest) -> HttpResponse:
    """Show this file."""
    return render(request, "todo/code.html", {"source": Path(__file__).read_text(encoding="utf-8")})
