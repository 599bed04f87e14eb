"""The authorization endpoint (RFC 6749 section 4.1.1): the page that asks a person, and the answer to the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.http import OAuth2ResponseRedirect
from oauth2_provider.models import AbstractApplication
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views import AuthorizationView as ToolkitAuthorizationView
from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors as oauth

from ...conf import settings
from ...core.errors import APIKeysError, RedirectRefusedError
from ...models import ClientKind
from ...page_headers import protect
from .. import consents, refused
from ..links import held, usable
from ..models import ClientApplication, Consent
from ..parameters import QueryCore, is_resource
from ..redirects import LOOPBACK, clean_redirects
from . import pages
from .asking import Question
from .protocol import OwnServerMixin

#: What the app's developer is told where nobody can be sent back, by the class of the error.
_BROKEN = {
    oauth.MissingClientIdError: "unknown_client",
    oauth.InvalidClientIdError: "unknown_client",
    oauth.MissingRedirectURIError: "redirect_uri_mismatch",
    oauth.InvalidRedirectURIError: "redirect_uri_mismatch",
    oauth.MismatchingRedirectURIError: "redirect_uri_mismatch",
}
_PROMPTS_TO_ASK = {"consent", "select_account"}
#: Nothing went wrong: the person said no, or has to come and be asked.
_NO_REFUSALS = {"access_denied", "login_required", "consent_required", "interaction_required"}


class LoginRequiredError(oauth.OAuth2Error):  # type: ignore[misc]  # oauthlib ships no types
    """Nobody is signed in, and the app wants no page shown (OpenID Connect Core 1.0 section 3.1.2.6)."""

    error = "login_required"


class ConsentRequiredError(oauth.OAuth2Error):  # type: ignore[misc]  # likewise
    """Nothing is granted, and the app wants no page shown (OpenID Connect Core 1.0 section 3.1.2.6)."""

    error = "consent_required"


class InteractionRequiredError(oauth.OAuth2Error):  # type: ignore[misc]  # likewise
    """A page is needed, and the app wants none shown (OpenID Connect Core 1.0 section 3.1.2.6)."""

    error = "interaction_required"


@dataclass(frozen=True, kw_only=True)
class AuthorizationRequest:
    """A request whose client, redirect address, scopes and challenge were checked."""

    link: ClientApplication
    scopes: list[str]
    redirect_uri: str
    state: str | None
    prompts: frozenset[str]
    #: What the toolkit stores with the code.
    credentials: dict[str, Any] = field(repr=False)

    def error(self, error: type[oauth.OAuth2Error], description: str | None = None) -> OAuthToolkitError:
        """Return *error* as the toolkit has it, which goes back to the app."""
        return OAuthToolkitError(error(description, state=self.state), redirect_uri=self.redirect_uri)


@method_decorator([csrf_protect, login_not_required], name="dispatch")
class AuthorizationView(OwnServerMixin, ToolkitAuthorizationView):  # type: ignore[misc]  # the toolkit ships no types
    """
    Ask the person what the app may do, and send the app a code or a refusal.

    A GET shows the page. It issues a code only where that needs no answer: to an app of the site's own that skips the
    page, or where the same was allowed a moment ago.
    """

    # No HEAD, which would be a GET without a page.
    http_method_names = ("get", "post")
    oauthlib_backend_class = QueryCore

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if pages.is_in_clear(request):
            return pages.broken(request, code="https_required")
        try:
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        except OAuthToolkitError as error:
            response = self.error_response(error, None)
        protect(response)
        return response

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = self._validated()
        if "login" in asked.prompts:
            to_login: HttpResponseBase = self.handle_prompt_login()
            return to_login
        question = self._question(asked)
        if self._is_answered(asked, question.consent):
            return self._issue(asked, asked.scopes, is_implied=_skips(asked))
        if "none" in asked.prompts:
            raise asked.error(ConsentRequiredError if question.new else InteractionRequiredError)
        return question.page(request, question.form(), action=_action(request, asked))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = self._validated()
        question = self._question(asked)
        form = question.form(request.POST)
        if not form.is_valid():
            return question.page(request, form, action=_action(request, asked), status=400)
        if not form.is_allowed():
            raise asked.error(oauth.AccessDeniedError)
        return self._issue(asked, form.granted(), is_implied=False)

    def handle_no_permission(self) -> HttpResponseBase:
        if "none" in self.request.GET.get("prompt", "").split():
            raise self._validated().error(LoginRequiredError)
        to_login: HttpResponseBase = super().handle_no_permission()
        return to_login

    def handle_prompt_login(self) -> HttpResponseBase:
        # The toolkit's drops every other prompt with it, and all but one ``resource``.
        prompts = [word for word in self.request.GET.get("prompt", "").split() if word != "login"]
        address = _address(self.request, prompt=" ".join(prompts))
        login = resolve_url(self.get_login_url())
        if urlsplit(login).netloc not in {"", self.request.get_host()}:
            address = self.request.build_absolute_uri(address)
        to_login: HttpResponseBase = redirect_to_login(address, login, self.get_redirect_field_name())
        return to_login

    def error_response(self, error: OAuthToolkitError, application: Any, **kwargs: Any) -> HttpResponseBase:
        known = error.oauthlib_error
        if known.error not in _NO_REFUSALS:
            refused.record(known.error, client_id=self.request.GET.get("client_id"), request=self.request)
        if isinstance(error, FatalClientError):
            return pages.broken(self.request, code=_BROKEN.get(type(known), "invalid_request"))
        location = known.in_uri(known.redirect_uri)
        if oauth2_settings.COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS:
            # Of refusals as well (RFC 9207 section 2), which the toolkit leaves out.
            issuer = oauth2_settings.oauth2_authorization_server_issuer(self.request)
            location = add_params_to_uri(location, [("iss", issuer)])
        return self.redirect(location, application)

    def redirect(self, redirect_to: str, application: Any) -> HttpResponseBase:
        address = urlsplit(redirect_to)
        # The client registered it. Should one have come past that form: nothing that runs here, nothing in the clear.
        is_local = address.scheme == "http" and address.hostname in LOOPBACK
        if not (is_local or address.scheme == "https" or "." in address.scheme):
            return pages.broken(self.request, code="redirect_uri_mismatch")
        response: HttpResponse = OAuth2ResponseRedirect(redirect_to, [address.scheme])
        if self.request.method == "POST":
            # So that no browser sends the form on (RFC 9700 section 4.12).
            response.status_code = 303
        return response

    def validate_authorization_request(self, request: HttpRequest) -> tuple[list[str], dict[str, Any]]:
        try:
            scopes, credentials = super().validate_authorization_request(request)
        except ValueError as error:
            # Of the query: bytes that are no text, half an escape, a NUL for the database.
            raise FatalClientError(oauth.InvalidRequestFatalError()) from error
        return scopes, credentials

    def _validated(self) -> AuthorizationRequest:
        """
        Return the request as the toolkit and this view found it right.

        Raises:
            OAuthToolkitError: If not; a ``FatalClientError`` where the app can't be told.
        """
        scopes, credentials = self.validate_authorization_request(self.request)
        link = usable(credentials["request"].client)
        if link is None:
            raise FatalClientError(oauth.InvalidClientIdError())
        redirect_uri = credentials["redirect_uri"]
        try:
            clean_redirects([redirect_uri], is_public=_is_public(link))
        except RedirectRefusedError as error:
            raise FatalClientError(oauth.MismatchingRedirectURIError()) from error
        kept = ("client_id", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method")
        asked = AuthorizationRequest(
            link=link,
            scopes=list(dict.fromkeys(scopes)),
            redirect_uri=redirect_uri,
            state=credentials.get("state"),
            prompts=frozenset(self.request.GET.get("prompt", "").split()),
            credentials={name: credentials.get(name) for name in kept},
        )
        self._require_more(asked)
        return asked

    def _require_more(self, asked: AuthorizationRequest) -> None:
        if "none" in asked.prompts and len(asked.prompts) > 1:
            raise asked.error(oauth.InvalidRequestError, "prompt=none stands alone.")
        resources = self.request.GET.getlist("resource")
        if not all(map(is_resource, resources)):
            # RFC 8707 section 2.
            error = oauth.CustomOAuth2Error("invalid_target", "Not an absolute URI.", state=asked.state)
            raise OAuthToolkitError(error, redirect_uri=asked.redirect_uri)
        if resources:
            asked.credentials["resource"] = resources

    def _question(self, asked: AuthorizationRequest) -> Question:
        user = self.request.user
        return Question(
            link=asked.link,
            user=user,
            scopes=asked.scopes,
            consent=consents.live(user, asked.link.client),
            redirect_uri=asked.redirect_uri,
        )

    def _is_answered(self, asked: AuthorizationRequest, consent: Consent | None) -> bool:
        if asked.prompts & _PROMPTS_TO_ASK or not _is_assured(asked):
            return False
        # What a page of another site loads, as an image or in a frame, is no person who comes here.
        if self.request.headers.get("Sec-Fetch-Dest", "document") != "document":
            return False
        return _skips(asked) or _is_fresh(consent, asked.scopes, now=timezone.now())

    def _issue(self, asked: AuthorizationRequest, scopes: list[str], *, is_implied: bool) -> HttpResponseBase:
        """Store what the person allowed together with the code, and send the app the code."""
        user, client = self.request.user, asked.link.client
        try:
            with transaction.atomic(using=router.db_for_write(Consent)):
                if self.request.method == "POST" or is_implied:
                    consents.give(user, client, scopes=scopes, is_implied=is_implied)
                # What nobody was asked for, say, is not sent behind the edit that has people asked from then on.
                if held(asked.link.application) is None:
                    raise asked.error(oauth.UnauthorizedClientError)
                location, *_rest = self.create_authorization_response(
                    request=self.request, scopes=" ".join(scopes), credentials=asked.credentials, allow=True
                )
        except APIKeysError as error:
            # Between the check and now: the ceiling was lowered, or the client disabled.
            raise asked.error(oauth.InvalidScopeError) from error
        return self.redirect(location, asked.link.application)


def _is_public(link: ClientApplication) -> bool:
    return bool(link.application.client_type == AbstractApplication.CLIENT_PUBLIC)


def _is_assured(asked: AuthorizationRequest) -> bool:
    """Whether the answer reaches nobody but the app, so that it may go without a page (RFC 8252 section 8.6)."""
    return not _is_public(asked.link) or asked.redirect_uri.startswith("https://")


def _skips(asked: AuthorizationRequest) -> bool:
    return bool(asked.link.application.skip_authorization) and asked.link.client.kind == ClientKind.FIRST_PARTY


def _is_fresh(consent: Consent | None, scopes: list[str], *, now: datetime) -> bool:
    if consent is None or consent.is_implied or not set(scopes) <= set(consent.scopes):
        return False
    return now < consent.given_at + settings.CONSENT_FRESH_FOR


def _action(request: HttpRequest, asked: AuthorizationRequest) -> str:
    """Return this address with the scopes that the page names: the client's minimum may be another when it is sent."""
    return _address(request, scope=" ".join(asked.scopes))


def _address(request: HttpRequest, **changed: str) -> str:
    """Return this address with other parameters; an empty one is left out."""
    query: QueryDict = request.GET.copy()
    for name, value in changed.items():
        query.setlist(name, [value] if value else [])
    return f"{request.path}?{query.urlencode()}"
