"""System checks of the toolkit's settings: what differs from ``apikeys.oauth.defaults``, and why it matters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.db import router
from django.db.models import Model
from django.urls import URLResolver, get_resolver
from oauth2_provider.settings import oauth2_settings

from ..checks import TAG
from ..conf import settings
from ..drf.endpoints import endpoints, is_subclass
from ..models import Client
from .defaults import OAUTH2_PROVIDER
from .models import ClientApplication, Consent
from .scopes import RegistryScopes
from .server import OAuthServer

_PRESET = "Take it from apikeys.oauth.defaults: OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, …}."
_LONGEST_ACCESS = timedelta(hours=1)
_LONGEST_CODE = timedelta(minutes=10)
_LONGEST_REFRESH = timedelta(days=90)
_MODELS = {
    "OAUTH2_PROVIDER_APPLICATION_MODEL": "Application",
    "OAUTH2_PROVIDER_GRANT_MODEL": "Grant",
    "OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL": "AccessToken",
    "OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL": "RefreshToken",
    "OAUTH2_PROVIDER_ID_TOKEN_MODEL": "IDToken",
    "OAUTH2_PROVIDER_DEVICE_GRANT_MODEL": "DeviceGrant",
}
#: Check ids of the settings that name parts of the toolkit.
PARTS = {
    "SCOPES_BACKEND_CLASS": "apikeys.E010",
    "OAUTH2_VALIDATOR_CLASS": "apikeys.E022",
    "OAUTH2_SERVER_CLASS": "apikeys.E023",
}
#: Settings of the preset that a project may set as it likes: ours ask for none of them, but for how loud the toolkit's
#: own checks are of what the ones below find.
CHOSEN = frozenset(
    {
        "REQUEST_APPROVAL_PROMPT",
        "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN",
        "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME",
        "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING",
        "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED",
    }
)
#: Modules of the toolkit whose views a project makes its own from; and views that show nothing which ours would not.
_HARMLESS_MODULES = {f"oauth2_provider.views.{name}" for name in ("generic", "mixins")}
_HARMLESS = {"OAuthServerMetadataView", "OAuthProtectedResourceMetadataView"}


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A setting of the preset, or of the toolkit's own defaults, that a project weakened."""

    id: str
    setting: str
    is_weak: Callable[[Any], bool]
    text: str


def _is_off(value: Any) -> bool:
    return not value


DEVIATIONS = (
    Deviation(
        id="E011",
        setting="PKCE_REQUIRED",
        is_weak=lambda value: value is not True,
        text="is not True: a stolen code is enough (RFC 9700 section 2.1.1).",
    ),
    Deviation(
        id="E024",
        setting="COMPLIANT_BCP_RFC9700_PKCE_METHOD",
        is_weak=_is_off,
        text="is off: plain is no proof (RFC 9700 section 2.1.1).",
    ),
    Deviation(
        id="E012",
        setting="COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT",
        is_weak=_is_off,
        text="is off: tokens in addresses (RFC 9700 section 2.1.2).",
    ),
    Deviation(
        id="E025",
        setting="COMPLIANT_BCP_RFC9700_PASSWORD_GRANT",
        is_weak=_is_off,
        text="is off: apps get passwords (RFC 9700 section 2.4).",
    ),
    Deviation(
        id="E013",
        setting="COMPLIANT_BCP_RFC9700_TOKEN_STORAGE",
        is_weak=_is_off,
        text="is off: whoever reads the database has every token.",
    ),
    Deviation(
        id="E026",
        setting="ROTATE_REFRESH_TOKEN",
        is_weak=_is_off,
        text="is off: a stolen refresh token works unseen (RFC 9700 section 4.14.2).",
    ),
    Deviation(
        id="E027",
        setting="REFRESH_TOKEN_REUSE_PROTECTION",
        is_weak=_is_off,
        text="is off: a spent refresh token ends nothing (RFC 9700 section 4.14.2).",
    ),
    Deviation(
        id="E028",
        setting="REFRESH_TOKEN_GRACE_PERIOD_SECONDS",
        is_weak=bool,
        text="is above zero: a spent refresh token works once more.",
    ),
    Deviation(
        id="E014",
        setting="ALLOW_URI_WILDCARDS",
        is_weak=bool,
        text="is on: codes go to every host of a domain (RFC 9700 section 4.1.1).",
    ),
    Deviation(
        id="E029",
        setting="ALLOWED_REDIRECT_URI_SCHEMES",
        is_weak=lambda value: set(value) != {"https"},
        text="is not ['https']: codes cross the network in the clear. Apps on a person's own machine need no change.",
    ),
    Deviation(
        id="E030",
        setting="COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT",
        is_weak=_is_off,
        text="is off: tokens in addresses (RFC 9700 section 4.3.2).",
    ),
    Deviation(
        id="E031",
        setting="COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS",
        is_weak=_is_off,
        text="is off: an app can't tell who answers (RFC 9207).",
    ),
    Deviation(
        id="E032",
        setting="RESOURCE_SERVER_TOKEN_RESOURCE_VALIDATOR",
        is_weak=_is_off,
        text="is empty: a token for one resource opens all (RFC 8707).",
    ),
    Deviation(
        id="E033",
        setting="ACCESS_TOKEN_EXPIRE_SECONDS",
        is_weak=lambda value: _span(value) > _LONGEST_ACCESS,
        text="is more than an hour: so long does a stolen token work.",
    ),
    Deviation(
        id="E034",
        setting="AUTHORIZATION_CODE_EXPIRE_SECONDS",
        is_weak=lambda value: _span(value) > _LONGEST_CODE,
        text="is more than ten minutes (RFC 6749 section 4.1.2).",
    ),
    Deviation(
        id="E035",
        setting="REFRESH_TOKEN_EXPIRE_SECONDS",
        is_weak=_is_off,
        text="is not set: a refresh token that nobody uses never ends.",
    ),
    Deviation(
        id="W213",
        setting="REFRESH_TOKEN_EXPIRE_SECONDS",
        is_weak=lambda value: bool(value) and _span(value) > _LONGEST_REFRESH,
        text="is more than 90 days: so long does an app that nobody uses keep its access.",
    ),
    Deviation(
        id="W216",
        setting="OIDC_ENABLED",
        is_weak=bool,
        text="is on: ID tokens know nothing of clients and consents, and outlive both.",
    ),
    Deviation(
        id="W224",
        setting="DCR_ENABLED",
        is_weak=bool,
        text="is on: apps that register themselves belong to no client, and get nothing.",
    ),
    Deviation(
        id="W225",
        setting="CIMD_ENABLED",
        is_weak=bool,
        text="is on: apps that describe themselves belong to no client, and get nothing.",
    ),
    Deviation(
        id="W226",
        setting="OAUTH2_RESPONSE_TYPES_SUPPORTED",
        is_weak=lambda value: set(value) != set(OAUTH2_PROVIDER["OAUTH2_RESPONSE_TYPES_SUPPORTED"]),
        text="is not ['code']: the metadata tell apps of what is refused, or not of what there is.",
    ),
    Deviation(
        id="W227",
        setting="OAUTH2_GRANT_TYPES_SUPPORTED",
        is_weak=lambda value: set(value) != set(OAUTH2_PROVIDER["OAUTH2_GRANT_TYPES_SUPPORTED"]),
        text="is not the preset's: the metadata tell apps of what is refused, or not of what there is.",
    ),
    Deviation(
        id="W228",
        setting="OAUTH_PRE_TOKEN_VALIDATION",
        is_weak=bool,
        text="is not empty: it runs before the client is known, and the toolkit's own fails for every device.",
    ),
)


@register(Tags.security, TAG)
def check_parts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find parts of the toolkit that are not ours, and would let in what ours refuse (E010, E022, E023, E036)."""
    messages = [*_foreign_classes()]
    for setting, name in _MODELS.items():
        swapped = getattr(django_settings, setting, None)
        if swapped not in {None, f"oauth2_provider.{name}"}:
            text = f"{setting} is {swapped!r}, but apikeys.oauth works with the toolkit's own models."
            messages.append(Error(text, hint="Add what you need by a one-to-one.", id="apikeys.E036"))
    return messages


@register(Tags.security, TAG)
def check_databases(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find tables in different databases, which no transaction and no look-up spans (E015)."""
    toolkit: list[type[Model]] = [apps.get_model("oauth2_provider", name) for name in _MODELS.values()]
    ours: list[type[Model]] = [Client, ClientApplication, Consent]
    databases = {router.db_for_write(model) for model in (*ours, *toolkit)}
    if len(databases) > 1:
        text = f"Clients, consents and tokens are in different databases: {', '.join(sorted(databases))}."
        hint = "Have DATABASE_ROUTERS send apikeys, apikeys_oauth and oauth2_provider to one."
        return [Error(text, hint=hint, id="apikeys.E015")]
    # Its look-ups go where the router says, and nobody can tell them otherwise.
    if replicas := {router.db_for_read(model) for model in toolkit} - databases:
        text = (
            f"django-oauth-toolkit reads from {', '.join(sorted(replicas))} what it writes to {', '.join(databases)}: "
            "until a replica has caught up, new tokens are refused and a replaced client secret works."
        )
        hint = "Have DATABASE_ROUTERS read oauth2_provider where it is written, whatever else a replica answers."
        return [Error(text, hint=hint, id="apikeys.E015")]
    return []


@register(Tags.security, TAG)
def check_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find the toolkit's own views beside ours (W214), and a project without ours (W215)."""
    # Imported when it runs: views take the toolkit's models.
    from .views.token import TokenView  # noqa: PLC0415

    try:
        views = list(_views(get_resolver().url_patterns))
    except Exception:  # noqa: BLE001  # the project's URL modules may fail in any way, and Django's own check tells how
        return []
    messages: list[CheckMessage] = []
    theirs = {str(getattr(view, "__name__", view)) for view in views if _is_the_toolkits(view)}
    if theirs:
        text = f"The toolkit's own views are in the URL configuration: {', '.join(sorted(theirs))}."
        hint = "Include apikeys.oauth.urls instead of oauth2_provider.urls: theirs know no client, ceiling or consent."
        messages.append(Warning(text, hint=hint, id="apikeys.W214"))
    if not any(is_subclass(view, TokenView) for view in views):
        text = "apikeys.oauth.urls is not in the URL configuration, so that nobody gets a token."
        hint = 'Add path("oauth/", include("apikeys.oauth.urls")).'
        messages.append(Warning(text, hint=hint, id="apikeys.W215"))
    return messages


@register(Tags.security, TAG)
def check_pairs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find views that ask for a key and a token together, where no key is read off ``X-API-Key`` (E037)."""
    if "x-api-key" in settings.CREDENTIAL_SOURCES:
        return []
    return [
        Error(
            "The view takes a key beside a token, but no key in X-API-Key: it refuses everybody.",
            hint="Add 'x-api-key' to APIKEYS['CREDENTIAL_SOURCES'].",
            obj=name,
            id="apikeys.E037",
        )
        for name in sorted({str(endpoint) for endpoint in endpoints() if ("key", "token") in endpoint.ways_in})
    ]


@register(Tags.security, TAG, deploy=True)
def check_preset(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find settings weaker than the preset: one id each, so that silencing one of them silences nothing else."""
    messages: list[CheckMessage] = []
    for deviation in DEVIATIONS:
        if deviation.is_weak(getattr(oauth2_settings, deviation.setting)):
            kind = Error if deviation.id.startswith("E") else Warning
            text = f"OAUTH2_PROVIDER: {deviation.setting} {deviation.text}"
            messages.append(kind(text, hint=_PRESET, id=f"apikeys.{deviation.id}"))
    return messages


def _foreign_classes() -> Iterator[CheckMessage]:
    # Imported when it runs: the validator's module takes the toolkit's models.
    from .validators import Validator  # noqa: PLC0415

    wanted: dict[str, type] = {
        "SCOPES_BACKEND_CLASS": RegistryScopes,
        "OAUTH2_VALIDATOR_CLASS": Validator,
        "OAUTH2_SERVER_CLASS": OAuthServer,
    }
    for setting, ours in wanted.items():
        identifier = PARTS[setting]
        try:
            theirs = getattr(oauth2_settings, setting)
        except (ImportError, AttributeError) as error:
            yield Error(f"OAUTH2_PROVIDER[{setting!r}] can't be used: {error}", hint=_PRESET, id=identifier)
            continue
        # Our views ask our server, whatever the setting says: one that is made from it would be set in vain.
        is_ours = theirs is ours if ours is OAuthServer else is_subclass(theirs, ours)
        if not is_ours:
            nor = "" if ours is OAuthServer else ", nor made from it"
            text = f"OAUTH2_PROVIDER[{setting!r}] is not {ours.__module__}.{ours.__name__}{nor}."
            yield Error(text, hint=_PRESET, id=identifier)


def _span(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _is_the_toolkits(view: Any) -> bool:
    """Whether *view* is an endpoint of the toolkit's, or made from one past ours."""
    from .views.protocol import OwnServerMixin  # noqa: PLC0415  # see check_addresses

    if is_subclass(view, OwnServerMixin):
        return False
    family = inspect.getmro(view) if inspect.isclass(view) else (view,)
    theirs = [each for each in family if each.__module__.startswith("oauth2_provider.views")]
    return any(each.__module__ not in _HARMLESS_MODULES for each in theirs) and not any(
        each.__name__ in _HARMLESS for each in theirs
    )


def _views(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        else:
            # What is no pattern fails here, and the check says nothing.
            yield getattr(pattern.callback, "view_class", pattern.callback)
