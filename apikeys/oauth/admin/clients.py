"""Clients in the admin, with how they sign in: one page, two writers, and the secret once."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy

from ...admin.client_admin import ClientAdmin as KeysClientAdmin
from ...models import Client
from .. import applications
from ..admin_forms import SignInForm, TokensForm, link_of
from ..ending import working_tokens_of
from ..sign_in import may_change
from . import secrets, shown

_SIGN_IN: tuple[str, ...] = (
    "sign_in",
    "is_public",
    "redirect_uris",
    "minimum_scopes",
    "optional_scopes",
    "skips_consent",
)
_TOLD = ("publisher", "website", "privacy_policy", "logo", "drops_logo", "is_verified")
#: What the page says of the secret that was just made, until the response is there.
_NEW = "_apikeys_new_application"


class ClientAdmin(shown.ShownSignIn, KeysClientAdmin):
    """Clients, and how they sign in."""

    form = SignInForm
    change_form_template = "admin/apikeys/oauth/client.html"
    list_display = (
        "name",
        "kind",
        "is_active",
        "shown_permissions",
        "shown_sign_in",
        "working_keys",
        "shown_tokens",
        "last_used",
        "shown_owner",
    )
    list_select_related = (*KeysClientAdmin.list_select_related, "client_application__application")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        found: QuerySet[Client] = super().get_queryset(request)
        at = request.resolver_match
        is_list = at is not None and at.url_name == f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        if not is_list:
            return found
        return found.annotate(working_tokens=working_tokens_of(OuterRef("pk"))).defer("client_application__logo")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.secret_view)
        return [path("<int:pk>/secret/", view, name="apikeys_client_secret"), *super().get_urls()]

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the page that replaces the client secret."""
        return secrets.replace_page(self, request, pk)

    def get_form(self, request: HttpRequest, obj: Client | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  # the admin's own signature
        if not may_change(request.user, is_new=obj is None):
            kwargs["form"] = TokensForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Client | None = None) -> Any:
        first, *rest = super().get_fieldsets(request, obj)
        if may_change(request.user, is_new=obj is None):
            link = None if obj is None else link_of(obj)
            has_logo = link is not None and link.logo is not None
            sign_in, told = _SIGN_IN, [name for name in _TOLD if has_logo or name != "drops_logo"]
        elif obj is not None:
            sign_in, told = shown.SIGN_IN, list(shown.TOLD)
        else:
            return [first, *rest]
        return [
            first,
            (gettext_lazy("Sign-in"), {"fields": sign_in}),
            (gettext_lazy("What people are told of it"), {"fields": told}),
            *rest,
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        is_read = obj is not None and not may_change(request.user)
        others = super().get_readonly_fields(request, obj)
        return (*shown.SIGN_IN, *shown.TOLD, *others) if is_read else others

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: Any) -> None:
        if not isinstance(form, SignInForm):
            super().save_model(request, obj, form, change)
            return
        link, values = form.link, form.sign_in_values()
        if link is not None and not values["sign_in"]:
            # First: withdrawing locks consents before the client, and so must whoever locks both.
            applications.remove(link, by=request.user, source="admin")
        super().save_model(request, obj, form, change)
        if not values["sign_in"]:
            return
        if link is None:
            new = applications.create(obj, is_new=not change, by=request.user, source="admin", **values)
            setattr(request, _NEW, new)
        else:
            applications.edit(link, by=request.user, source="admin", **values)

    def response_add(self, request: HttpRequest, obj: Client, post_url_continue: str | None = None) -> HttpResponse:
        return self._revealed(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Client) -> HttpResponse:
        return self._revealed(request, obj) or super().response_change(request, obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        client = context.get("original")
        if client is not None:
            context |= {"sign_in_facts": shown.facts(request, self.admin_site.name, client)}
        return super().render_change_form(request, context, *args, **kwargs)

    def _revealed(self, request: HttpRequest, client: Client) -> HttpResponse | None:
        new = getattr(request, _NEW, None)
        if new is None or new.secret is None:
            return None
        return secrets.SecretResponse(self, request, client, new)
