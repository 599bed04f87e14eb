"""How a client signs in with OAuth, as one value, and what may be in it. Nothing here changes a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from oauth2_provider.models import AbstractApplication

from .. import policy
from ..core import errors
from ..core.scopes import as_names
from ..models import Client, ClientKind
from ..registry import scope_registry
from .logos import clean_logo
from .models import ClientApplication
from .redirects import clean_redirects

AUTHORIZATION_CODE = AbstractApplication.GRANT_AUTHORIZATION_CODE
DEVICE_CODE = AbstractApplication.GRANT_DEVICE_CODE
CLIENT_CREDENTIALS = AbstractApplication.GRANT_CLIENT_CREDENTIALS
#: What people call them, by the toolkit's names.
SIGN_INS = {
    AUTHORIZATION_CODE: gettext_lazy("OAuth authorization code with PKCE"),
    DEVICE_CODE: gettext_lazy("OAuth device code"),
    CLIENT_CREDENTIALS: gettext_lazy("OAuth client credentials"),
}
MOST_PUBLISHER = 80
MOST_ADDRESS = 200


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """What the toolkit's application and our row beside it say of one client, but for its secret."""

    sign_in: str = ""
    #: Whether it keeps no secret, because people could read it out of the app (RFC 6749 section 2.1).
    is_public: bool = False
    redirect_uris: tuple[str, ...] = ()
    skips_consent: bool = False
    minimum_scopes: tuple[str, ...] = ()
    optional_scopes: tuple[str, ...] = ()
    publisher: str = ""
    website: str = ""
    privacy_policy: str = ""
    is_verified: bool = False
    #: PNG.
    logo: bytes | None = None

    @classmethod
    def of(cls, link: ClientApplication) -> SignIn:
        """Return what is stored. One query, unless ``application`` was joined."""
        application = link.application
        return cls(
            sign_in=application.authorization_grant_type,
            is_public=application.client_type == application.CLIENT_PUBLIC,
            redirect_uris=tuple(application.redirect_uris.split()),
            skips_consent=application.skip_authorization,
            minimum_scopes=tuple(link.minimum_scopes),
            optional_scopes=tuple(link.optional_scopes),
            publisher=link.publisher,
            website=link.website,
            privacy_policy=link.privacy_policy,
            is_verified=link.is_verified,
            logo=None if link.logo is None else bytes(link.logo),
        )

    def changed(self, values: dict[str, Any]) -> SignIn:
        """Return it with *values*, unchecked."""
        if unknown := sorted(set(values) - set(EDITABLE)):
            message = f"A sign-in has no field {', '.join(unknown)} to set."
            raise TypeError(message)
        values = dict(values)
        for name in ("minimum_scopes", "optional_scopes", "redirect_uris"):
            if name in values:
                values[name] = tuple(dict.fromkeys(as_names(values[name])))
        return replace(self, **values)

    def differences(self, other: SignIn) -> list[str]:
        """Return the names of the fields in which *other* differs."""
        return [name for name in EDITABLE if getattr(self, name) != getattr(other, name)]


#: What ``applications.create`` and ``applications.edit`` take.
EDITABLE = tuple(item.name for item in fields(SignIn))


def may_change(by: Any, *, is_new: bool = False) -> bool:
    """Whether *by* may say how clients sign in; *is_new* where the client is being made. None is trusted code."""
    if by is None:
        return True
    may_write = by.has_perm("apikeys.change_client") or (is_new and by.has_perm("apikeys.add_client"))
    return bool(may_write and by.has_perm("apikeys_oauth.change_clientapplication"))


def fitting(wanted: SignIn, *, before: SignIn | None, kind: str, ceiling: Iterable[str], by: Any) -> SignIn:
    """
    Return *wanted* as it is stored, for a client of *kind* that may hold *ceiling*.

    A scope of *before* that is above the ceiling by now, or no longer declared, counts for nothing and is left out.

    Raises:
        APIKeysError: Where it does not go together, or *by* may not; as ``applications.create``.
    """
    if wanted.sign_in not in SIGN_INS:
        raise errors.SignInRefusedError(_("Choose how it signs in."), field="sign_in")
    if wanted.is_public and wanted.sign_in == CLIENT_CREDENTIALS:
        message = _("Client credentials need a secret. An app that keeps none can't use them.")
        raise errors.SignInRefusedError(message, field="is_public")
    if wanted.skips_consent:
        _require_skippable(wanted, kind=kind)
    ceiling = list(ceiling)
    wanted = replace(
        wanted,
        redirect_uris=_redirects(wanted),
        minimum_scopes=_scopes(
            wanted.minimum_scopes, had=() if before is None else before.minimum_scopes, ceiling=ceiling
        ),
        optional_scopes=_scopes(
            wanted.optional_scopes, had=() if before is None else before.optional_scopes, ceiling=ceiling
        ),
        publisher=policy.clean_text(wanted.publisher, most=MOST_PUBLISHER, what=_("The publisher")),
        website=_address(wanted.website, field="website"),
        privacy_policy=_address(wanted.privacy_policy, field="privacy_policy"),
        logo=None if wanted.logo is None else clean_logo(wanted.logo),
    )
    _require_trusted(wanted, before=before, ceiling=ceiling, by=by)
    return wanted


def require_may_learn_secret(state: SignIn, *, client: Client, by: Any) -> None:
    """
    Pass where *by* may hold a secret of *client*, which signs in as *state* says.

    Raises:
        APIKeysError: If not.
    """
    policy.require(permitted=may_change(by))
    if state.is_public:
        raise errors.SignInRefusedError(_("This app keeps no secret."), field="is_public")
    _require_trusted(state, before=None, ceiling=client.allowed_scopes, by=by)


def require_may_widen(state: SignIn, *, by: Any) -> None:
    """
    Pass where *by* may raise the ceiling of a client that signs in as *state* says.

    Raises:
        SignInRefusedError: If nobody is asked before it gets what is new, and *by* could not let it in themselves.
    """
    if state.skips_consent and not _is_superuser(by):
        message = _("It skips the consent page, so only superusers may let it do more.")
        raise errors.SignInRefusedError(message, field="skips_consent")
    _require_service_rights(state, by=by)


def _require_skippable(wanted: SignIn, *, kind: str) -> None:
    if kind != ClientKind.FIRST_PARTY:
        message = _("Only a first-party client may skip the consent page.")
        raise errors.SignInRefusedError(message, field="skips_consent")
    if wanted.sign_in != AUTHORIZATION_CODE:
        message = _("Only with an authorization code is there a consent page to skip.")
        raise errors.SignInRefusedError(message, field="skips_consent")


def _require_trusted(wanted: SignIn, *, before: SignIn | None, ceiling: list[str], by: Any) -> None:
    """Pass where *by* gets no more out of it than they may do anyhow."""
    steps = EDITABLE if before is None else before.differences(wanted)
    if by is None or not {"sign_in", "is_public", "redirect_uris", "skips_consent"} & set(steps):
        return
    # It acts for whoever is signed in and comes by, superusers as well: whoever says where the codes go is all of them.
    if wanted.skips_consent and not _is_superuser(by):
        message = _("Only superusers may let an app skip the consent page, or change how such an app signs in.")
        raise errors.SignInRefusedError(message, field="skips_consent")
    _require_service_rights(wanted, by=by)
    if wanted.sign_in == CLIENT_CREDENTIALS:
        policy.require_grantable([name for name in ceiling if not _is_reserved(name)], by=by)


def _require_service_rights(state: SignIn, *, by: Any) -> None:
    # A secret of client credentials is worth a service key that can do all that the client may.
    if state.sign_in == CLIENT_CREDENTIALS and not policy.may_issue(by, owner=None):
        message = _("Client credentials act for nobody, as service keys do, and you may not issue those.")
        raise errors.SignInRefusedError(message, field="sign_in")


def _is_superuser(by: Any) -> bool:
    return by is None or bool(by.is_active and getattr(by, "is_superuser", False))


def _redirects(wanted: SignIn) -> tuple[str, ...]:
    redirects = clean_redirects(wanted.redirect_uris, is_public=wanted.is_public)
    if redirects and wanted.sign_in != AUTHORIZATION_CODE:
        message = _("Only an authorization code is sent to an address. Leave this empty.")
        raise errors.SignInRefusedError(message, field="redirect_uris")
    if not redirects and wanted.sign_in == AUTHORIZATION_CODE:
        message = _("Give at least one address that the authorization code may be sent to.")
        raise errors.SignInRefusedError(message, field="redirect_uris")
    return tuple(redirects)


def _scopes(names: tuple[str, ...], *, had: tuple[str, ...], ceiling: list[str]) -> tuple[str, ...]:
    registry = scope_registry()
    wanted = registry.require(name for name in names if name in registry or name not in had)
    if reserved := [name for name in wanted if _is_reserved(name)]:
        message = _("OAuth gives nobody: %(scopes)s.") % {"scopes": ", ".join(reserved)}
        raise errors.ScopeNotGrantableError(message, names=reserved)
    if above := [name for name in wanted if name not in ceiling and name not in had]:
        message = _("The client may not hold: %(scopes)s.") % {"scopes": ", ".join(above)}
        raise errors.ScopeAboveCeilingError(message, names=above)
    return tuple(name for name in wanted if name in ceiling)


def _address(text: str, *, field: str) -> str:
    text = text.strip()
    if not text:
        return ""
    try:
        URLValidator(schemes=["https"])(text)
        has_person = "@" in urlsplit(text).netloc
    except (ValidationError, ValueError):
        has_person = True
    # People see the host and decide by it; a name before it would stand where they expect the host.
    if has_person or len(text) > MOST_ADDRESS or not text.isascii():
        message = _("Write the address in full and in ASCII, as https://app.example/, of at most %(most)d characters.")
        raise errors.SignInRefusedError(message % {"most": MOST_ADDRESS}, field=field)
    return text


def _is_reserved(name: str) -> bool:
    registry = scope_registry()
    return name in registry and registry[name].is_reserved
