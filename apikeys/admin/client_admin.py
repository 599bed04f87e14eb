"""Clients in the admin. The form checks, ``clients`` writes, nothing deletes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy

from .. import clients
from ..core.errors import APIKeysError
from ..forms.client import ClientForm
from ..models import Client, user_name_of
from ..status import permission_summary
from . import pages
from .guarded_search import GuardedSearchAdmin


class ClientAdmin(GuardedSearchAdmin):
    """Clients."""

    form = ClientForm
    change_form_template = "admin/apikeys/client/form.html"
    list_display = ("name", "kind", "is_active", "shown_permissions", "shown_owner", "created_at")
    list_filter = ("kind", "is_active")
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("name__istartswith", "client_id__startswith")
    search_help_text = gettext_lazy("Start of a name or of a client id.")
    show_full_result_count = False
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Client | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  # the admin's own signature
        form = super().get_form(request, obj, change=change, **kwargs)
        form.by = request.user  # type: ignore[attr-defined]  # a class made for this request alone
        return form

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: Any) -> None:
        fields = {name: form.cleaned_data[name] for name in clients.EDITABLE}
        if not change:
            created = clients.create(
                allowed_scopes=form.cleaned_data["allowed_scopes"], by=request.user, source="admin", **fields
            )
            obj.pk, obj.client_id = created.pk, created.client_id
            obj._state.adding, obj._state.db = False, created._state.db
        else:
            clients.edit(obj, by=request.user, source="admin", **fields)
            clients.set_ceiling(obj, scopes=form.cleaned_data["allowed_scopes"], by=request.user, source="admin")
        if form.cleaned_data["is_active"]:
            clients.enable(obj, by=request.user, source="admin")
        else:
            clients.disable(obj, by=request.user, source="admin")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        client = context.get("original")
        if client is not None:
            context["revoke_all_url"] = pages.revoke_all_url(self.admin_site.name, request.user, client)
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except APIKeysError as error:
            # The form asked the same questions, but another person was faster. Nothing is half done.
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    @admin.display(description=gettext_lazy("permissions it may hold"))
    def shown_permissions(self, client: Client) -> str:
        return permission_summary(client.allowed_scopes)

    @admin.display(description=gettext_lazy("owner of record"), ordering="owner")
    def shown_owner(self, client: Client) -> str:
        return user_name_of(client.owner)
