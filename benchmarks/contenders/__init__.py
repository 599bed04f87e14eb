"""Every contender that is installed here. A new one is a module in this folder and a line below."""

from __future__ import annotations

from importlib.util import find_spec

from ..contender import Case, Package
from .api_servers import APIServer, SimpleJWTES256, ToolkitAPIServer
from .apikeys import APIKeys
from .apikeys_tokens import APIKeysTokens
from .authority import Authority
from .drf_api_key import DRFAPIKey
from .drf_token import DRFToken
from .knox import Knox
from .oauth_toolkit import OAuthToolkit
from .simplejwt_stateless import SimpleJWTStateless
from .unauthenticated import Unauthenticated

_ALL: tuple[Package, ...] = (
    Unauthenticated(),
    DRFToken(),
    DRFAPIKey(),
    Knox(),
    OAuthToolkit(),
    SimpleJWTStateless(),
    APIKeys(),
    APIKeysTokens(),
    Authority(),
    APIServer(),
    ToolkitAPIServer(),
    SimpleJWTES256(),
)


def installed() -> list[Package]:
    """Return the packages that can be measured, in the order of the table."""
    return [package for package in _ALL if all(find_spec(app.partition(".")[0]) for app in package.apps)]


def find(name: str) -> tuple[Package, Case]:
    """
    Return the case called *name*, and its package.

    Raises:
        LookupError: If no installed package has such a case.
    """
    for package in installed():
        for case in package.cases:
            if case.name == name:
                return package, case
    raise LookupError(f"There is no contender {name!r}.")
