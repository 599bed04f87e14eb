"""The web app: sign in, see your to-dos, add one, tick one off."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.forms import DateInput, ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from example_project.csp import POLICY

from . import programs, story
from .models import Todo


class DemoLoginView(LoginView):
    """Sign in. With ``DEBUG`` the page shows the passwords of the demonstration."""

    template_name = "todo/login.html"
    next_page = "todos"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        # Browsers apply form-action to all that a form leads to: from here to the consent page, and from that, where it
        # asks nothing, at once back to the program that people came from.
        addresses = programs.addresses()
        back = " ".join(addresses[program.name] for program in (programs.PIPER, programs.HOOLI))
        response["Content-Security-Policy"] = POLICY.replace("form-action 'self'", f"form-action 'self' {back}")
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {
            "people": story.PEOPLE if settings.DEBUG else (),
            "is_demo": settings.DEBUG,
        }


class TodoForm(ModelForm):  # type: ignore[type-arg]  # Django has no such type at run time
    """A new to-do."""

    class Meta:
        model = Todo
        fields = ("title", "due_on")
        widgets = {"due_on": DateInput(attrs={"type": "date"})}


@login_required(login_url="login")
@require_http_methods(["GET", "HEAD", "POST"])
def todos(request: HttpRequest) -> HttpResponse:
    """List the to-dos of who is signed in; a POST adds one."""
    may_add = request.user.has_perm("todo.add_todo")
    form = TodoForm(request.POST or None)
    if request.method == "POST" and not may_add:
        raise PermissionDenied
    if request.method == "POST" and form.is_valid():
        form.instance.owner_id = request.user.pk
        form.save()
        return redirect("todos")
    context = {
        "form": form if may_add else None,
        "may_change": request.user.has_perm("todo.change_todo"),
        "todos": Todo.objects.owned_by(request.user),
        "is_demo": settings.DEBUG,
    }
    return render(request, "todo/todos.html", context, status=400 if form.errors else 200)


@login_required(login_url="login")
@require_POST
def done(request: HttpRequest, pk: str) -> HttpResponse:
    """Tick a to-do off, or back on."""
    if not request.user.has_perm("todo.change_todo"):
        raise PermissionDenied
    todo = get_object_or_404(Todo.objects.owned_by(request.user), pk=pk)
    todo.is_done = not todo.is_done
    todo.save(update_fields=["is_done"])
    return redirect("todos")
