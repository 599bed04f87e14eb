"""Keys in the admin: a list, a page each, and the pages that change one. No form of the admin ever saves a key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.db.models import Q, QuerySet
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from .. import policy
from ..models import APIKey
from . import changing, detail, identifying, issuing, pages, revoking, revoking_many, rotating
from .guarded_search import GuardedSearchAdmin
from .key_list import Columns, ExpiresFilter, KeyList, LastUsedFilter, StatusFilter, matching

KeyPage = Callable[["APIKeyAdmin", HttpRequest, APIKey], HttpResponse]


#: The pages that make secrets.
_HASHING = frozenset({"apikeys_apikey_add", "apikeys_apikey_rotate"})


class APIKeyAdmin(GuardedSearchAdmin):
    """Keys. Nothing here deletes one or shows what its proofs are checked against."""

    change_list_template = pages.template_path("list.html")
    list_display = ("__str__",)
    list_display_links = None
    list_filter = (
        StatusFilter,
        ("client", admin.RelatedOnlyFieldListFilter),
        ExpiresFilter,
        LastUsedFilter,
        "mode",
    )
    list_select_related = ("client", "owner", "revocation", "created_by")
    list_per_page = 50
    show_full_result_count = False
    # Only to switch the search on: ``get_search_results`` says what it matches.
    search_fields = ("name", "key_id")
    search_help_text = gettext_lazy("Start of a name or key id, or a whole user name.")
    actions = ("revoke_chosen",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return policy.may_issue_any(request.user)

    def has_view_permission(self, request: HttpRequest, obj: APIKey | None = None) -> bool:
        return policy.may_view(request.user)

    def has_change_permission(self, request: HttpRequest, obj: APIKey | None = None) -> bool:
        return policy.may_edit(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: APIKey | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered and taken."""
        return policy.may_revoke(request.user)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        # The admin lets an address filter by any column, letter by letter.
        is_shown = lookup.partition("__")[0] not in {"verifier", "form_id"}
        return is_shown and super().lookup_allowed(lookup, value, request)

    def get_urls(self) -> list[URLPattern]:
        pages_of_a_key: list[tuple[str, str, KeyPage]] = [
            ("rotate", "apikeys.rotate_apikey", rotating.rotate_page),
            ("revoke", "apikeys.revoke_apikey", revoking.revoke_page),
            ("edit", "apikeys.change_apikey", changing.edit_page),
            ("narrow", "apikeys.change_apikey", changing.narrow_page),
            ("limits", "apikeys.change_apikey", changing.limits_page),
            ("claims", "apikeys.set_claims", changing.claims_page),
        ]
        suggestions = [
            ("clients", issuing.suggest_clients),
            ("people", issuing.suggest_people),
            ("describe", issuing.describe),
            ("same_as", issuing.same_as),
        ]
        pages_of_many = [
            ("revoke", "revoke_many", revoking_many.revoke_many_page),
            ("identify", "identify", identifying.identify_page),
        ]
        # Before the admin's own: the last of these takes every path for the id of a key.
        patterns = [
            *(
                path(
                    f"<path:object_id>/{name}/",
                    self._wrapped(self._page_of_a_key(view, right=right)),
                    name=f"apikeys_apikey_{name}",
                )
                for name, right, view in pages_of_a_key
            ),
            *(
                path(f"add/{name}/", self._wrapped(self._bound(view)), name=f"apikeys_apikey_{name}")
                for name, view in suggestions
            ),
            *(
                path(
                    f"{address}/",
                    self._wrapped(sensitive_post_parameters()(partial(view, self))),
                    name=f"apikeys_apikey_{name}",
                )
                for address, name, view in pages_of_many
            ),
            *super().get_urls(),
        ]
        for pattern in patterns:
            if pattern.name in _HASHING:
                # With ATOMIC_REQUESTS Argon2 would run inside of the view's transaction. Both views open their own.
                for alias in connections:
                    non_atomic_requests(using=alias)(pattern.callback)
        return patterns

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyList]:
        return KeyList

    def get_list_display(self, request: HttpRequest) -> Any:
        return Columns(request, site_name=self.admin_site.name).all()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[APIKey], search_term: str
    ) -> tuple[QuerySet[APIKey], bool]:
        text = search_term.strip()
        return queryset.filter(matching(text) if text else Q()), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": _("API keys"), **(extra_context or {})})

    @admin.action(permissions=["revoke"], description=gettext_lazy("Revoke…"))
    def revoke_chosen(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        is_all = request.POST.get("select_across") == "1"
        asked = 0 if is_all else len(set(request.POST.getlist(ACTION_CHECKBOX_NAME)))
        return revoking_many.chosen_page(self, request, queryset, asked=asked)

    def response_action(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        # Anything may be sent, and the admin asks the database for it.
        sent: Any = request.POST.copy()
        ids = sent.getlist(ACTION_CHECKBOX_NAME)
        # No key has a number below zero.
        ids = [text if revoking_many.is_id(text) else str(-number) for number, text in enumerate(ids, 1)]
        sent.setlist(ACTION_CHECKBOX_NAME, ids)
        request.POST = sent
        return super().response_action(request, *args, **options)

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return issuing.issue_page(self, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        if not self.has_view_permission(request, key):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if key is None:
            return self._missing(request, object_id)
        return detail.detail_page(self, request, key)

    def get_queryset(self, request: HttpRequest) -> QuerySet[APIKey]:
        return super().get_queryset(request).select_related("client", "owner", "revocation", "created_by")

    def _page_of_a_key(self, view: KeyPage, *, right: str) -> Callable[..., HttpResponse]:
        # A name or a note may hold a pasted key, until it is refused.
        @sensitive_post_parameters()
        def find(request: HttpRequest, object_id: str) -> HttpResponse:
            # Before the look-up: whether there is such a key is nothing for those without the right.
            if not request.user.has_perm(right):
                raise PermissionDenied
            key = self.get_object(request, object_id)
            if key is None:
                return self._missing(request, object_id)
            return view(self, request, key)

        return find

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        response: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]  # it has no stub
            request, self.opts, object_id
        )
        return response

    def _bound(self, view: Callable[[APIKeyAdmin, HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
        # By POST: what somebody types may be a pasted key, which must not get into an address.
        @require_POST
        @sensitive_post_parameters()
        def call(request: HttpRequest) -> HttpResponse:
            # PostgreSQL refuses to look for it.
            if any("\0" in value for _name, values in request.POST.lists() for value in values):
                return HttpResponseBadRequest()
            return view(self, request)

        return call

    def _wrapped(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        return self.admin_site.admin_view(view)
