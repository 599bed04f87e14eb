"""The toolkit's validator, tied to clients, ceilings and consents: nothing is issued that would not work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2.rfc6749 import errors

from ..conf import settings
from ..core import basic_auth
from ..core.errors import ConsentMissingError, CredentialError
from ..models import Client
from . import client_secrets, codes, consents, devices, ending, proving, rows, tokens
from .links import held, usable
from .parameters import NETWORK, is_resource
from .scopes import available, narrowed

#: Hosts on which an app takes the port that is free (RFC 8252 section 7.3). Not localhost, which may be another one.
_ANY_PORT = frozenset({"127.0.0.1", "::1"})
#: What the toolkit puts beside the headers of a request that came over HTTPS.
_SECURE = "X_DJANGO_OAUTH_TOOLKIT_SECURE"


class Validator(OAuth2Validator):  # type: ignore[misc]  # the toolkit ships no types
    """
    What ``OAUTH2_VALIDATOR_CLASS`` names.

    An application works only as long as its client does; scopes are the granted ones under today's ceiling and
    consent; codes are kept as digests; and what is issued is checked once more in the transaction that saves it.
    """

    #: Whether a spent secret that came again is on record. Our views make a validator for each request.
    has_recorded_replay = False

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        if not client_id or not client_id.isprintable():
            request.client = None
            return None
        application = super()._load_application(client_id, request)
        # MariaDB compares without case.
        if application is None or application.client_id != client_id or usable(application) is None:
            request.client = None
            return None
        return application

    @sensitive_variables("basic", "secret")
    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """
        Whether the client of *request* knows its secret (RFC 6749 section 2.3.1); sets ``request.client``.

        Raises:
            TooManyHashesError: If that needs a slow hash, and there were too many.
        """
        try:
            basic = basic_auth.read(request.headers.get("HTTP_AUTHORIZATION", ""))
        except ValueError:
            return False
        client_id, secret = basic or (request.client_id, getattr(request, "client_secret", None) or "")
        application = self._load_application(client_id, request)
        if application is None:
            return False
        if application.client_type == application.CLIENT_PUBLIC:
            # It keeps no secret, so that none is worth a slow hash. What a device proves is its device code.
            return bool(request.grant_type == devices.GRANT_TYPE)
        network = request.headers.get(NETWORK, "")
        return client_secrets.is_right(secret, stored=application.client_secret, network=network)

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        # One text or another, but for the port of a native app on this machine (RFC 8252 section 7.3).
        if redirect_uri in request.client.redirect_uris.split():
            return True
        try:
            is_loopback = urlsplit(redirect_uri).hostname in _ANY_PORT
            return is_loopback and _is_plain(redirect_uri) and bool(request.client.redirect_uri_allowed(redirect_uri))
        except ValueError:
            return False  # no address at all

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        link = usable(client)
        if link is None or not scopes or not set(scopes) <= set(available(link.client)):
            return False
        request.scopes = list(dict.fromkeys(scopes))
        return True

    def validate_user(self, username: str, password: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        return False  # the password grant is not offered, and must not tell a right password

    def validate_bearer_token(self, token: str, scopes: list[str], request: Any) -> bool:
        # Asked by the toolkit's own authentication, which a project may have beside ours. It decides as ours does.
        if settings.REQUIRE_HTTPS and _SECURE not in request.headers:
            return False
        if not super().validate_bearer_token(token, scopes, request):
            return False
        alias = tokens.database()
        found = tokens.find(token, alias=alias)
        # From where it came is not known here, with proxies in between.
        if found is None or found.client_networks is not None or usable(request.client) is None:
            return False
        try:
            principal = proving.principal_of(found, alias=alias, now=timezone.now())
        except CredentialError:
            return False
        # In memory: the toolkit's permissions ask the token.
        request.scopes = sorted(principal.scopes)
        request.access_token.scope = " ".join(request.scopes)
        return bool(request.access_token.allow_scopes(scopes))

    def _validate_resource_uris(self, request: Any, resources: list[str]) -> None:
        if not all(map(is_resource, resources)):
            raise errors.CustomOAuth2Error("invalid_target", "Not an absolute URI.", request=request)

    # Codes

    def _create_authorization_code(self, request: Any, code: dict[str, Any], expires: datetime | None = None) -> Any:
        if isinstance(request.resource, str):
            request.resource = [request.resource]
        self._validate_resource_uris(request, request.resource or [])
        # They belong to ID tokens, which are not issued.
        request.nonce = request.claims = None
        return super()._create_authorization_code(request, {**code, "code": codes.digest(code["code"])}, expires)

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        now = timezone.now()
        # From here on oauthlib and the toolkit ask for the digest, which is what is stored.
        request.code = codes.digest(code)
        if not super().validate_code(client_id, request.code, client, request, *args, **kwargs):
            self._end_what_code_gave(request, application=client, now=now)
            return False
        return self._narrow(request, request.scopes, now=now)

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        with _or_invalid_grant(request):
            challenge: str | None = super().get_code_challenge(code, request)
        return challenge

    def get_code_challenge_method(self, code: str, request: Any) -> str | None:
        with _or_invalid_grant(request):
            method: str | None = super().get_code_challenge_method(code, request)
        return method

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, *args: Any, **kwargs: Any
    ) -> bool:
        request = args[0] if args else kwargs.get("request")
        with _or_invalid_grant(request):
            if super().confirm_redirect_uri(client_id, code, redirect_uri, client, *args, **kwargs):
                return True
        # oauthlib would call it invalid_request; RFC 6749 section 5.2 has a name for it.
        raise errors.InvalidGrantError(request=request)

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the code was spent in the transaction that saved its tokens."""

    # Device codes

    def validate_device_code(self, client_id: str, device_code: str, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Return one of oauthlib's ``DEVICE_CODE_*``, or None for a code that gives nothing (RFC 8628 section 3.5)."""
        now = timezone.now()
        status, request.device_grant = devices.poll(device_code, client_id=request.client.client_id, now=now)
        if request.device_grant is None:
            return status
        request.user = request.device_grant.user
        return status if self._narrow(request, request.device_grant.scope.split(), now=now) else None

    # Refreshing

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        now = timezone.now()
        found = rows.refresh_tokens().filter(token_checksum=codes.digest(refresh_token))
        spent = found.exclude(revoked=None).exclude(token_family=None).select_related("application", "user").first()
        live = rows.refresh_tokens().filter(revoked=None)
        ends_family = spent is not None and live.filter(token_family=spent.token_family).exists()
        if super().validate_refresh_token(refresh_token, client, request, *args, **kwargs):
            return bool(request.user.is_active)
        if spent is not None and ends_family:
            # The toolkit has ended the family as it saw it; here one counts as well that was being refreshed.
            self.has_recorded_replay = ending.end_what_refreshing_gave(spent, now=now)
        return False

    def get_original_scopes(self, refresh_token: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        """
        Return what of the refresh token's scopes still counts.

        Raises:
            InvalidScopeError: If nothing does.
            InvalidGrantError: If the person's consent is over.
        """
        granted = super().get_original_scopes(refresh_token, request, *args, **kwargs)
        names = granted.split() if isinstance(granted, str) else granted
        if not self._narrow(request, names, now=timezone.now()):
            raise errors.InvalidGrantError(request=request)
        scopes: list[str] = request.scopes
        return scopes

    # Giving up

    @sensitive_variables("token")
    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        # The hint would only save a look (RFC 7009 section 2.1).
        ending.end_presented(token, client_id=request.client.client_id)

    # Saving

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().save_bearer_token(token, request, *args, **kwargs)
        except errors.InvalidGrantError:
            # Behind the transaction that was rolled back: a code that comes twice ends what it gave, however close
            # the two are to each other.
            if request.grant_type == "authorization_code":
                self._end_what_code_gave(request, application=request.client, now=timezone.now())
            raise

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        now = timezone.now()
        client = self._client(request)
        if request.grant_type != "client_credentials":
            if request.user is None:
                raise errors.InvalidGrantError(request=request)
            # Before anything else: withdrawing takes this lock as well, and ends what is there when it gets it.
            try:
                consents.lock_covering(request.user, client, scopes=token.get("scope", "").split(), now=now)
            except ConsentMissingError as error:
                raise errors.InvalidGrantError(request=request) from error
        # Before anything is stored, as an edit takes its locks: client, link, application.
        if held(request.client) is None:
            raise errors.InvalidClientError(request=request)
        if request.grant_type == "refresh_token":
            self._lock_refresh_token(request)
        super()._save_bearer_token(token, request, *args, **kwargs)
        # Last, because the toolkit still reads the code's row; whoever finds it gone has saved nothing.
        if request.grant_type == "authorization_code":
            super().invalidate_authorization_code(request.client_id, request.code, request)
            codes.remember_spent(request.code, token=token, application=request.client, now=now)
        elif request.grant_type == devices.GRANT_TYPE and not devices.spend(request.device_grant, now=now):
            raise errors.InvalidGrantError(request=request)

    def _end_what_code_gave(self, request: Any, *, application: Any, now: datetime) -> None:
        self.has_recorded_replay = ending.end_what_code_gave(request.code, application=application, now=now)

    def _lock_refresh_token(self, request: Any) -> None:
        # The toolkit would answer who comes second with the first one's tokens, which are not stored.
        locked = rows.refresh_tokens().select_for_update()
        if not locked.filter(pk=request.refresh_token_instance.pk, revoked=None).exists():
            raise errors.InvalidGrantError(request=request)

    def _client(self, request: Any) -> Client:
        link = usable(request.client)
        if link is None:
            raise errors.InvalidClientError(request=request)
        return link.client

    def _narrow(self, request: Any, names: list[str], *, now: datetime) -> bool:
        """Set the request's scopes to those of *names* that still count, and return whether its person's grant does."""
        client = self._client(request)
        if request.user is None or not request.user.is_active:
            return False
        consent = consents.live(request.user, client, now=now)
        if consent is None:
            return False
        request.scopes = narrowed(names, client=client, consent=consent)
        if not request.scopes:
            raise errors.InvalidScopeError(request=request)
        return True


@contextmanager
def _or_invalid_grant(request: Any) -> Iterator[None]:
    """Refuse a code that another request spent in the meantime."""
    try:
        yield
    except ObjectDoesNotExist as error:
        raise errors.InvalidGrantError(request=request) from error


def _is_plain(address: str) -> bool:
    return address.isascii() and address.isprintable() and not set(address) & set(' \\"')
