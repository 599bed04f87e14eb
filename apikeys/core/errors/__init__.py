"""
Every error that callers of ``apikeys`` get to see. The class names the fact, ``code`` is for machines.

What modules of one package tell each other by, and nobody else catches, stands with the module that raises it.
"""

from __future__ import annotations

from .changes import AlreadyIssuedError as AlreadyIssuedError
from .changes import AlreadyRevokedError as AlreadyRevokedError
from .changes import AlreadyRotatedError as AlreadyRotatedError
from .changes import AlreadyUsedError as AlreadyUsedError
from .changes import ChangeRefusedError as ChangeRefusedError
from .changes import ClaimRefusedError as ClaimRefusedError
from .changes import ClientNameTakenError as ClientNameTakenError
from .changes import ClientNotActiveError as ClientNotActiveError
from .changes import DuplicateNameError as DuplicateNameError
from .changes import KeyNotWorkingError as KeyNotWorkingError
from .changes import LifetimeRefusedError as LifetimeRefusedError
from .changes import LogoRefusedError as LogoRefusedError
from .changes import NameRefusedError as NameRefusedError
from .changes import NetworkSyntaxError as NetworkSyntaxError
from .changes import NotPermittedError as NotPermittedError
from .changes import OverlapRefusedError as OverlapRefusedError
from .changes import OwnerNotActiveError as OwnerNotActiveError
from .changes import RateSyntaxError as RateSyntaxError
from .changes import RedirectRefusedError as RedirectRefusedError
from .changes import ResourceRefusedError as ResourceRefusedError
from .changes import ResourceTakenError as ResourceTakenError
from .changes import SecretReplacedError as SecretReplacedError
from .changes import ServiceKeysUnavailableError as ServiceKeysUnavailableError
from .changes import SignInExistsError as SignInExistsError
from .changes import SignInRefusedError as SignInRefusedError
from .changes import TooManyKeysError as TooManyKeysError
from .changes import TooManyLimitsError as TooManyLimitsError
from .changes import TooManyNetworksError as TooManyNetworksError
from .claims import ClaimSyntaxError as ClaimSyntaxError
from .credentials import AddressRefusedError as AddressRefusedError
from .credentials import AmbiguousCredentialError as AmbiguousCredentialError
from .credentials import AuthorityUnavailableError as AuthorityUnavailableError
from .credentials import ClientDisabledError as ClientDisabledError
from .credentials import CredentialError as CredentialError
from .credentials import CredentialsDifferError as CredentialsDifferError
from .credentials import ExpiredKeyError as ExpiredKeyError
from .credentials import ExpiredTokenError as ExpiredTokenError
from .credentials import HTTPSRequiredError as HTTPSRequiredError
from .credentials import InvalidTokenError as InvalidTokenError
from .credentials import KeyInQueryError as KeyInQueryError
from .credentials import KeyMissingBesideTokenError as KeyMissingBesideTokenError
from .credentials import LimitExceededError as LimitExceededError
from .credentials import LimitsUnavailableError as LimitsUnavailableError
from .credentials import MalformedKeyError as MalformedKeyError
from .credentials import NetworksNotEnforcedError as NetworksNotEnforcedError
from .credentials import NotForServerError as NotForServerError
from .credentials import OwnerDisabledError as OwnerDisabledError
from .credentials import RevokedKeyError as RevokedKeyError
from .credentials import RotatedKeyError as RotatedKeyError
from .credentials import TokenInQueryError as TokenInQueryError
from .credentials import TokenMissingError as TokenMissingError
from .credentials import TooManyHashesError as TooManyHashesError
from .credentials import UnknownKeyError as UnknownKeyError
from .credentials import WrongModeError as WrongModeError
from .root import APIKeysError as APIKeysError
from .root import ConsentMissingError as ConsentMissingError
from .root import HashingFailedError as HashingFailedError
from .scopes import NoScopesError as NoScopesError
from .scopes import ScopeAboveCeilingError as ScopeAboveCeilingError
from .scopes import ScopeError as ScopeError
from .scopes import ScopeNotGrantableError as ScopeNotGrantableError
from .scopes import ScopeNotHeldError as ScopeNotHeldError
from .scopes import ScopeSyntaxError as ScopeSyntaxError
from .scopes import UndeclaredScopeError as UndeclaredScopeError
