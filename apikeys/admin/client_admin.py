"""Clients in the admin. The form checks, ``clients`` writes, nothing deletes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from .. import clients, policy
from ..core.errors import APIKeysError
from ..forms import claims
from ..forms.client import ClientForm
from ..models import APIKey, Client, user_name_of
from ..registry import declared_claims
from ..status import absolute, permission_summary
from . import client_list, facts, pages, usage_page, use_section
from .guarded_search import GuardedSearchAdmin
from .shown_claims import claims_of_client
from .shown_limits import limits_of_client

#: What the page has in a section of its own.
_AS_SERVER = ("audiences", "resource")


class ClientAdmin(GuardedSearchAdmin):
    """Clients."""

    form = ClientForm
    change_form_template = "admin/apikeys/client/form.html"
    list_display: tuple[str, ...] = (
        "name",
        "kind",
        "is_active",
        "shown_permissions",
        "working_keys",
        "last_used",
        "shown_owner",
    )
    list_filter = ("kind", "is_active")
    list_select_related: ClassVar[tuple[str, ...]] = ("owner",)
    list_per_page = 50
    search_fields = ("name__istartswith", "client_id__startswith")
    search_help_text = gettext_lazy("Start of a name or of a client id.")
    show_full_result_count = False
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[client_list.ClientList]:
        return client_list.ClientList

    def get_form(self, request: HttpRequest, obj: Client | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  # the admin's own signature
        if self._may_set_claims(request, obj):
            parent = kwargs.get("form", self.form)
            # Declared by the project, so that no class here can name them.
            kwargs["form"] = type(parent.__name__, (parent,), {**claims.fields(), "asks_for_claims": True})
        form = super().get_form(request, obj, change=change, **kwargs)
        form.by = request.user  # type: ignore[attr-defined]  # a class made for this request alone
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Client | None = None) -> Any:
        own = [name for name in ClientForm.Meta.fields if name not in _AS_SERVER]
        if self.may_write(request, obj):
            own.append("seen")
        sections: list[Any] = [(None, {"fields": own}), (gettext_lazy("API servers"), {"fields": _AS_SERVER})]
        if declared_claims():
            names = claims.field_names() if self._may_set_claims(request, obj) else ["shown_claims"]
            text = gettext_lazy("What its keys say besides permissions. What a key says itself goes before it.")
            sections.append((gettext_lazy("Claims"), {"fields": names, "description": text}))
        return sections

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        return () if self._may_set_claims(request, obj) else ("shown_claims",)

    def may_write(self, request: HttpRequest, obj: Client | None) -> bool:
        """Whether the page is a form for *request*, and not only to read."""
        return self.has_change_permission(request, obj) if obj is not None else self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: Any) -> None:
        changes_claims = form.changes_claims()
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
        if changes_claims:
            clients.set_claims(obj, claims=form.claims, by=request.user, source="admin")
        if not form.cleaned_data["is_active"]:
            clients.disable(obj, by=request.user, source="admin")
        elif change:
            # A new one works already, and who made it may not have the right to switch clients on.
            clients.enable(obj, by=request.user, source="admin")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        client = context.get("original")
        if client is not None:
            site, now = self.admin_site.name, timezone.now()
            last_used_key = (
                APIKey.objects.filter(client=client).order_by(F("last_used_at").desc(nulls_last=True)).first()
            )
            last_use = last_used_key and facts.of_use(last_used_key, now=now)
            context |= {
                "revoke_all_url": pages.revoke_all_url(site, request.user, client),
                "limits": limits_of_client(client),
                "last_used_key": last_used_key,
                "last_use": last_use,
                "last_used_at": last_use and last_use.last_at and absolute(last_use.last_at),
                "use": use_section.of_client(client, now=now),
                "usage_url": usage_page.url_of(request, site, client=client),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except APIKeysError as error:
            # The form asked the same questions, but another person was faster. Nothing is half done.
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    @admin.display(description=gettext_lazy("claims"))
    def shown_claims(self, client: Client) -> str:
        return "\n".join(f"{claim.label}: {claim.value}" for claim in claims_of_client(client)) or "–"

    @admin.display(description=gettext_lazy("permissions it may hold"))
    def shown_permissions(self, client: Client) -> str:
        return permission_summary(client.allowed_scopes)

    @admin.display(description=gettext_lazy("working keys"))
    def working_keys(self, client: Client) -> str | SafeString:
        return client_list.cells_of(client).working

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, client: Client) -> str | SafeString:
        return client_list.cells_of(client).last_used

    @admin.display(description=gettext_lazy("owner of record"), ordering="owner")
    def shown_owner(self, client: Client) -> str:
        return user_name_of(client.owner)

    def _may_set_claims(self, request: HttpRequest, obj: Client | None) -> bool:
        return policy.may_set_claims(request.user) and self.may_write(request, obj) and bool(declared_claims())
