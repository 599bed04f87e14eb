"""What the toolkit keeps: applications, tokens and codes. To read, and tokens to end; secrets are in none of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext

from .. import ending
from ..sign_in import SIGN_INS
from .reading import ReadingAdmin, person_search

#: How many tokens are in memory while many are ended.
_AT_ONCE = 500


class ApplicationAdmin(ReadingAdmin):
    """Applications. They are made and edited on their client's page."""

    list_display = ("client_id", "shown_client", "shown_sign_in", "client_type", "redirect_uris", "created")
    list_select_related = ("client_application__client",)
    list_filter = ("authorization_grant_type", "client_type")
    actions = None
    search_fields = ("client_id__startswith", "client_application__client__name__istartswith")
    search_help_text = gettext_lazy("Start of a name or of a client id.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("client_application__logo")

    @admin.display(description=gettext_lazy("client"))
    def shown_client(self, application: Any) -> str | SafeString:
        link = getattr(application, "client_application", None)
        # Made past us: nothing accepts it.
        if link is None:
            return "–"
        url = reverse(f"{self.admin_site.name}:apikeys_client_change", args=[link.client_id])
        return format_html('<a href="{}">{}</a>', url, link.client)

    @admin.display(description=gettext_lazy("signs in by"), ordering="authorization_grant_type")
    def shown_sign_in(self, application: Any) -> str:
        name = application.authorization_grant_type
        return str(SIGN_INS.get(name, name))


class _OfClientAdmin(ReadingAdmin):
    """Rows that belong to an application and, mostly, a person."""

    list_select_related = ("application__client_application__client", "user")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("application__client_application__logo")

    def get_search_fields(self, request: HttpRequest) -> Any:
        return (
            "application__client_application__client__name__istartswith",
            "application__client_id__startswith",
            person_search(),
        )

    @admin.display(description=gettext_lazy("client"))
    def shown_client(self, row: Any) -> str:
        link = getattr(row.application, "client_application", None)
        return "–" if link is None else str(link.client)


class _TokenAdmin(_OfClientAdmin):
    """Tokens, which those who may change them can end."""

    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether the person may end tokens."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_revoke_permission(request)

    @admin.action(description=gettext_lazy("End the chosen tokens"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """End the tokens of *rows*, with those that belong to them."""
        # All or none, and never all in memory. Their primary keys first: an open cursor over rows that end is no list.
        pks = sorted(rows.order_by().values_list("pk", flat=True))
        tokens = self.model._default_manager.using(router.db_for_write(self.model))
        count = 0
        with ending.holding(set(rows.order_by().values_list("application_id", flat=True))):
            for start in range(0, len(pks), _AT_ONCE):
                for row in tokens.filter(pk__in=pks[start : start + _AT_ONCE]):
                    ending.end_token(row)
                    self.log_change(request, row, "revoked")
                    count += 1
        text = ngettext("%(count)d token no longer works.", "%(count)d tokens no longer work.", count)
        messages.success(request, text % {"count": count})


class AccessTokenAdmin(_TokenAdmin):
    """Access tokens."""

    list_display = ("id", "shown_client", "user", "shown_scope", "created", "expires")


class RefreshTokenAdmin(_TokenAdmin):
    """Refresh tokens."""

    list_display = ("id", "shown_client", "user", "created", "revoked")


class CodeAdmin(_OfClientAdmin):
    """Authorization codes."""

    list_display = ("id", "shown_client", "user", "shown_scope", "created", "expires")
    actions = None


class IDTokenAdmin(_OfClientAdmin):
    """Tokens of OpenID Connect."""

    list_display = ("id", "shown_client", "user", "shown_scope", "created", "expires")
    actions = None
