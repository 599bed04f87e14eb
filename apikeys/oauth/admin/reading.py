"""What all lists of OAuth have in common: they are read, and nothing in them is written by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from ...admin.guarded_search import GuardedSearchAdmin


def person_search() -> str:
    """Return the look-up for the start of a user name, whatever the user model calls that."""
    return f"user__{get_user_model().USERNAME_FIELD}__istartswith"


class ReadingAdmin(GuardedSearchAdmin):
    """Rows to look at. ``list_display`` is all that is shown of them."""

    list_per_page = 50
    show_full_result_count = False
    #: The toolkit's addresses for its own pages are none of ours.
    view_on_site = False
    search_help_text = gettext_lazy("Start of a client's name, of a client id or of a user name.")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.list_display if name != "action_checkbox"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # What is not shown is not asked for either: a hash would come to light letter by letter.
        is_shown = lookup.partition("__")[0] in {*self.list_display, *self.list_filter, self.opts.pk.name}
        return is_shown and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Never by hand. Django asks it as well on the pages on which a person is deleted, with what is theirs: else
        # nobody who ever signed in to an app could be.
        people, at = get_user_model()._meta, request.resolver_match
        is_of_person = at is not None and (at.url_name or "").startswith(f"{people.app_label}_{people.model_name}_")
        return is_of_person and request.user.has_perm(f"{people.app_label}.delete_{people.model_name}")

    @admin.display(description=gettext_lazy("permissions"))
    def shown_scope(self, row: Any) -> str:
        return " ".join(row.scope.split())
