"""What the page and the list of clients tell of sign-in, to those who may not change it as well."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...models import Client
from ...policy import long_date
from ...status import permission_summary
from ..models import ClientApplication
from ..sign_in import SIGN_INS, SignIn, may_change

#: How it signs in, and what people are told, for who may only read it.
SIGN_IN = ("shown_sign_in", "shown_redirects", "shown_minimum", "shown_optional", "shown_skips_consent")
TOLD = ("shown_publisher", "shown_website", "shown_privacy_policy", "shown_is_verified")


@dataclass(frozen=True, kw_only=True)
class SignInFacts:
    """What the page of a client says above the form."""

    client_id: str
    sign_in: str
    #: When it was set, never the secret.
    secret: str
    #: Empty where the person may not replace the secret, or there is none.
    replace_url: str
    replace_label: str
    people: str
    #: Empty where the person may not see who consented, or nobody did.
    people_url: str


class ShownSignIn:
    """Columns and read-only fields of a client's sign-in."""

    @admin.display(description=gettext_lazy("signs in by"))
    def shown_sign_in(self, client: Client) -> str:
        link = _link(client)
        # Not the whole state: a list loads no logos.
        return _("API keys only") if link is None else _named(link.application.authorization_grant_type)

    @admin.display(description=gettext_lazy("OAuth tokens"))
    def shown_tokens(self, client: Client) -> int:
        # Annotated by the list.
        return int(getattr(client, "working_tokens", 0))

    @admin.display(description=gettext_lazy("redirect addresses"))
    def shown_redirects(self, client: Client) -> str | SafeString:
        state = _state(client)
        rows = [(address,) for address in state.redirect_uris] if state else []
        return format_html_join("\n", "{}<br>", rows) if rows else "–"

    @admin.display(description=gettext_lazy("permissions without asking for any"))
    def shown_minimum(self, client: Client) -> str:
        state = _state(client)
        return permission_summary(list(state.minimum_scopes)) if state and state.minimum_scopes else "–"

    @admin.display(description=gettext_lazy("permissions that people may leave out"))
    def shown_optional(self, client: Client) -> str:
        state = _state(client)
        return permission_summary(list(state.optional_scopes)) if state and state.optional_scopes else "–"

    @admin.display(description=gettext_lazy("skip the consent page"), boolean=True)
    def shown_skips_consent(self, client: Client) -> bool:
        state = _state(client)
        return state is not None and state.skips_consent

    @admin.display(description=gettext_lazy("publisher"))
    def shown_publisher(self, client: Client) -> str:
        return getattr(_state(client), "publisher", "") or "–"

    @admin.display(description=gettext_lazy("web page"))
    def shown_website(self, client: Client) -> str:
        return getattr(_state(client), "website", "") or "–"

    @admin.display(description=gettext_lazy("privacy page"))
    def shown_privacy_policy(self, client: Client) -> str:
        return getattr(_state(client), "privacy_policy", "") or "–"

    @admin.display(description=gettext_lazy("checked by this site"), boolean=True)
    def shown_is_verified(self, client: Client) -> bool:
        state = _state(client)
        return state is not None and state.is_verified


def facts(request: HttpRequest, site_name: str, client: Client) -> SignInFacts | None:
    """Return what the page says of how *client* signs in; None where it has keys alone."""
    link = _link(client)
    if link is None:
        return None
    state = SignIn.of(link)
    may_replace = may_change(request.user) and not state.is_public
    people = client.consents.filter(expires_at__gt=timezone.now()).count()
    may_list = people and request.user.has_perm("apikeys_oauth.view_consent")
    consents_url = reverse(f"{site_name}:apikeys_oauth_consent_changelist")
    return SignInFacts(
        client_id=client.client_id,
        sign_in=_named(state.sign_in),
        secret=_of_secret(link, is_public=state.is_public),
        replace_url=reverse(f"{site_name}:apikeys_client_secret", args=[client.pk]) if may_replace else "",
        replace_label=_("Replace…") if link.secret_set_at else _("Set…"),
        people=ngettext("%(count)d person", "%(count)d people", people) % {"count": people},
        people_url=f"{consents_url}?client__id__exact={client.pk}" if may_list else "",
    )


def _named(sign_in: str) -> str:
    return str(SIGN_INS.get(sign_in, sign_in))


def _of_secret(link: ClientApplication, *, is_public: bool) -> str:
    if is_public:
        return _("This app keeps no secret.")
    if link.secret_set_at is None:
        return _("None yet: nobody can sign in as this client.")
    return _("Set on %(date)s.") % {"date": long_date(link.secret_set_at)}


def _link(client: Client) -> ClientApplication | None:
    # Joined in lists. Django raises where there is none.
    found: ClientApplication | None = getattr(client, "client_application", None)
    return found


def _state(client: Client) -> SignIn | None:
    link = _link(client)
    return None if link is None else SignIn.of(link)
