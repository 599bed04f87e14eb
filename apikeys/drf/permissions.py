"""
What a view demands of its caller.

``HasScopes`` raises what it refuses, because a permission that returns False loses its code and its challenge. It
returns False only for a session user, to whom scopes mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rest_framework.exceptions import APIException
from rest_framework.permissions import (
    NOT,
    BasePermission,
    BasePermissionMetaclass,
    OperandHolder,
    SingleOperandHolder,
)
from rest_framework.request import Request

from ..core.calls import note_refusal, note_scopes
from ..core.principals import Principal
from ..core.scopes import as_names
from .refusals import Refused, missing_credential, missing_scope

if TYPE_CHECKING:
    # Not at run time: views import the classes that REST framework's settings name, which may be those below.
    from rest_framework.views import APIView

Match = Literal["all", "any"]


class Composable(BasePermissionMetaclass, OperandHolder, SingleOperandHolder):
    """
    Permission classes whose ``& | ~`` give a permission of ours.

    Python asks a right operand first only if its type is a subclass of the left one's, so this one is a subclass of
    all that REST framework joins. A tree of REST framework's own stops at the first answer: in
    ``(A & B) | HasScopes("w")`` its ``A & B`` would let in a key without ``w``, or nobody at all.
    """

    # What holders do with these is nothing for a class.
    def __init__(cls, *args: Any) -> None:
        type.__init__(cls, *args)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)

    def __eq__(cls, other: object) -> bool:
        return cls is other

    def __hash__(cls) -> int:
        return type.__hash__(cls)

    def __and__(cls, other: Any) -> Any:
        return _combined(AllOf, cls, other)

    def __rand__(cls, other: Any) -> Any:
        return _combined(AllOf, other, cls)

    def __or__(cls, other: Any) -> Any:
        return _combined(AnyOf, cls, other)

    def __ror__(cls, other: Any) -> Any:
        return _combined(AnyOf, other, cls)

    def __invert__(cls) -> Any:
        return _combined(NoneOf, cls)


class CredentialPermission(BasePermission, metaclass=Composable):
    """A permission that knows keys."""

    #: Whether it says which keys may come in. A view without any such permission is closed to keys.
    opens_to_keys = False
    #: Whether it says what else a key must have, so that it may be one of several ways where none opens to keys.
    narrows_keys = False
    #: What one request must hold at least, as authentications have it: ``"key"``, ``"token"``, both.
    needs_credentials: ClassVar[tuple[str, ...]] = ()


class _BoundByCall(Composable):
    def __call__(cls, *names: str, match: Match = "all") -> Any:
        # HasScopes("a") stands in permission_classes, whose items REST framework calls with nothing, for an instance:
        # it is a class.
        if not names and match == "all":
            return super().__call__()
        if match not in {"all", "any"}:
            message = f"match must be 'all' or 'any', not {match!r}."
            raise ValueError(message)
        if not all(isinstance(name, str) for name in names):
            message = f"Scopes are named by text: HasScopes('todo:read'), not {names!r}."
            raise TypeError(message)
        return bound(cls, names=names, match=match)


class HasScopes(CredentialPermission, metaclass=_BoundByCall):
    """
    The credential has scopes.

    ``HasScopes("todo:read")``, ``HasScopes("a", "b")`` for both, ``HasScopes("a", "b", match="any")`` for one. Bare
    ``HasScopes`` takes ``required_scopes`` of the view: names, or a dict of names by HTTP method or viewset action.
    Naming nothing refuses.
    """

    opens_to_keys = True
    names: ClassVar[tuple[str, ...]] = ()
    match: ClassVar[Match] = "all"

    if TYPE_CHECKING:
        # What the metaclass does, in words that type checkers follow.
        def __new__(cls, *names: str, match: Match = "all") -> Any: ...

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = request.auth if isinstance(request.auth, Principal) else principal_of(request)
        if principal is None:
            return False
        required = self.required(request, view)
        if not required:
            raise Refused("scopes_not_declared", about=principal.about, request=request)
        match_any = self.match == "any"
        note_scopes(request._request, principal.scopes.intersection(required))
        if not (principal.has_any_scope(*required) if match_any else principal.scopes.issuperset(required)):
            note_refusal(request._request, "scope_missing")
            raise missing_scope(
                required, granted=principal.scopes, match_any=match_any, request=request, about=principal.about
            )
        return True

    def required(self, request: Request, view: APIView) -> tuple[str, ...]:
        """Return the scopes that this request needs; empty where none are named, which refuses."""
        return self.names or named_scopes(
            getattr(view, "required_scopes", ()), method=request.method or "", action=getattr(view, "action", None)
        )


class HasAPIKey(CredentialPermission):
    """Any working key will do, whatever its scopes; a token alone is none."""

    opens_to_keys = True
    needs_credentials = ("key",)

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = principal_of(request)
        if principal is not None and not principal.holds_key:
            raise Refused("scopes_not_declared", about=principal.about, request=request)
        return principal is not None


class HasOwner(CredentialPermission):
    """The caller is a person, or acts for one. For views over a person's data; it opens no view to keys by itself."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = principal_of(request)
        if principal is not None and not principal.acts_for_user:
            raise Refused("owner_required", about=principal.about, request=request)
        return True


class IsSessionUser(CredentialPermission):
    """The caller signed in as a person, without key or token."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return principal_of(request) is None and request.auth is None


class Combined(CredentialPermission):
    """
    Permissions joined by ``&``, ``|`` or ``~``.

    All operands are asked and one refusal is raised, the first. Without a credential nothing is admitted, whatever
    the operands say.
    """

    operands: ClassVar[tuple[Any, ...]] = ()

    def __init__(self) -> None:
        self.parts = [operand() if callable(operand) else operand for operand in self.operands]

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = principal_of(request)
        answers = [_ask(part, request, view) for part in self.parts]
        if self.admits([answer is True for answer in answers], is_key=principal is not None):
            return True
        refusals = [answer for answer in answers if isinstance(answer, APIException)]
        if refusals:
            raise refusals[0]
        return False

    def admits(self, answers: list[bool], *, is_key: bool) -> bool:
        """Whether *answers* of the operands, in their order, together let the caller in."""
        raise NotImplementedError

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        # An alternative counts for an object only if it also counted for the view.
        answers = [
            _ask(part, request, view) is True and bool(part.has_object_permission(request, view, obj))
            for part in self.parts
        ]
        return self.admits(answers, is_key=principal_of(request) is not None)


class AllOf(Combined):
    """Every operand admits."""

    def admits(self, answers: list[bool], *, is_key: bool) -> bool:
        return all(answers)


class AnyOf(Combined):
    """
    One operand admits.

    For a key only operands count that say which keys may come in: ``IsAuthenticated | HasScopes("w")`` is no way
    around ``w``. Where none does, as in ``HasClaim("a") | HasClaim("b")``, those count that say what else a key must
    have; another permission has to open the view.
    """

    def admits(self, answers: list[bool], *, is_key: bool) -> bool:
        if not is_key:
            return any(answers)
        counting = which_count_for_keys(self.parts)
        return any(answer and counts for answer, counts in zip(answers, counting, strict=True))


class NoneOf(Combined):
    """The operand does not admit, and there is a credential."""

    def admits(self, answers: list[bool], *, is_key: bool) -> bool:
        return not any(answers)

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal_of(request)
        return self.admits([_ask(part, request, view) is True for part in self.parts], is_key=True)


def opens_to_keys(permission: Any) -> bool:
    """Whether *permission*, a class, an instance or a tree of either kind, says which keys may come in."""
    if getattr(permission, "opens_to_keys", False):
        return True
    operands = operands_of(permission)
    if _turns_round(permission):
        # "No key" says nothing of what a token must have: else ``~HasAPIKey`` would let in every token there is.
        operands = tuple(operand for operand in operands if not getattr(operand, "needs_credentials", ()))
    return any(map(opens_to_keys, operands))


def which_count_for_keys(operands: Sequence[Any]) -> list[bool]:
    """Return of each of *operands*, which ``|`` joins, whether it counts for a key."""
    opening = list(map(opens_to_keys, operands))
    return opening if any(opening) else list(map(narrows_keys, operands))


def narrows_keys(permission: Any) -> bool:
    """Whether *permission*, a class, an instance or a tree of either kind, is of what keys must have besides scopes."""
    operands = operands_of(permission)
    return all(map(narrows_keys, operands)) if operands else bool(getattr(permission, "narrows_keys", False))


def operands_of(permission: Any) -> tuple[Any, ...]:
    """Return what *permission* joins: of our trees, of REST framework's holders and of its operators."""
    kind = permission if isinstance(permission, type) else type(permission)
    if issubclass(kind, Combined):
        return kind.operands
    found = (getattr(permission, name, None) for name in ("op1_class", "op2_class", "op1", "op2"))
    return tuple(operand for operand in found if operand is not None)


def _turns_round(permission: Any) -> bool:
    kind = permission if isinstance(permission, type) else type(permission)
    return issubclass(kind, (NoneOf, NOT)) or getattr(permission, "operator_class", None) is NOT


def named_scopes(declared: Any, *, method: str, action: str | None) -> tuple[str, ...]:
    """
    Return the names in *declared* that a request needs.

    *declared* is a name, a list or tuple of names, or a dict of these by viewset action or HTTP method. An action
    goes before a method; HEAD is GET. What the dict does not name gives nothing.
    """
    if isinstance(declared, Mapping):
        method = "GET" if method == "HEAD" else method
        found = (declared[word] for word in (action, method, method.lower()) if word in declared)
        declared = next(found, None)
    return as_names(declared or ())


def principal_of(request: Request) -> Principal | None:
    """Return the principal, or None for a session user or another credential; refuse who sent none."""
    if isinstance(request.auth, Principal):
        return request.auth
    # UNAUTHENTICATED_USER may be None.
    if not getattr(request.user, "is_authenticated", False):
        raise missing_credential(request)
    return None


def bound(parent: Any, **attributes: Any) -> Any:
    """Return a subclass of *parent* with *attributes*, under its name."""
    return type(parent)(parent.__name__, (parent,), {"__module__": parent.__module__, **attributes})


def _combined(kind: type[Combined], *operands: Any) -> Any:
    return bound(kind, operands=operands)


def _ask(permission: Any, request: Request, view: APIView) -> bool | APIException:
    try:
        return bool(permission.has_permission(request, view))
    except APIException as refusal:
        return refusal
