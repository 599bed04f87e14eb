"""Roles: groups of Django permissions, which scopes name. Who loses one loses it in every app, on the next request."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group, Permission
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from . import story
from .demonstration import actors_of, demo_only
from .models import Todo

#: The groups, each with what it may do with to-dos.
ROLES = {
    "viewer": ("view_todo",),
    "editor": ("view_todo", "add_todo", "change_todo", "delete_todo"),
    "admin": ("view_todo", "add_todo", "change_todo", "delete_todo"),
}
#: Those that visitors of the demonstration switch between.
SWITCHED = {"editor": gettext_lazy("an editor"), "viewer": gettext_lazy("a viewer")}


def seed(people: dict[str, Any]) -> None:
    """Make the groups, and give everybody of *people*, by user name, who has no role the one of the story."""
    for role, codenames in ROLES.items():
        group, _is_new = Group.objects.get_or_create(name=role)
        group.permissions.set(
            Permission.objects.filter(content_type__app_label=Todo._meta.app_label, codename__in=codenames)
        )
    for person in story.PEOPLE:
        user = people.get(person.username)
        if user is not None and not of(user):
            give(user, person.group)


def give(user: Any, role: str) -> None:
    """Make *role* the one role of *user*."""
    user.groups.remove(*user.groups.filter(name__in=ROLES))
    user.groups.add(Group.objects.get(name=role))


def of(user: Any) -> str:
    """Return the role of *user*, empty for none."""
    return user.groups.filter(name__in=ROLES).values_list("name", flat=True).first() or ""


@demo_only
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Give whom the visitor acts as another role."""
    person, _other = actors_of(request)
    role = request.POST.get("role", "")
    if role not in SWITCHED:
        raise Http404
    give(story.user_of(person), role)
    messages.success(
        request,
        _("%(name)s is now %(role)s: for every key and token, from the next request on.")
        % {"name": person.name, "role": SWITCHED[role]},
    )
    response = redirect("home")
    response["Location"] += f"?as={person.username}"
    return response
