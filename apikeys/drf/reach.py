"""
Which endpoints each scope opens, told from what views declare.

Nothing is asked of a view that it would know only on a request: where it has a ``get_permissions()`` of its own, or
computes ``required_scopes``, what it requires counts as unknown, and it is listed only for what decorators demand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from django.urls import get_resolver
from django.utils.translation import get_language
from rest_framework.permissions import AND, NOT, OR

from ..conf import settings
from ..core.claims import Values
from ..core.scopes import RESERVED_BEGINNING, as_names
from .claims import HasClaim
from .decorators import Demand
from .endpoints import Endpoint, endpoints, is_always_satisfied, is_kind, joins_by
from .permissions import (
    AllOf,
    AnyOf,
    HasOwner,
    HasScopes,
    IsSessionUser,
    NoneOf,
    named_scopes,
    opens_to_keys,
    operands_of,
    which_count_for_keys,
)

#: Each set of scopes suffices.
Alternatives = tuple[tuple[str, ...], ...]
#: What one request holds: ``("key",)``, ``("token",)``, both.
WayIn = tuple[str, ...]

#: Whatever is held will do; nothing will.
ANY: Alternatives = ((),)
CLOSED: Alternatives = ()
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What one operation asks of a key or a token."""

    #: Each of these sets of scopes suffices; an empty one says that any credential will do, none at all that none will.
    alternatives: Alternatives
    #: Whether it must act for a person.
    needs_person: bool = False
    #: The ``HasClaim`` that must admit, whatever else the tree says.
    claims: tuple[Any, ...] = ()

    def is_met_by(self, scopes: Collection[str]) -> bool:
        """Whether a credential that holds *scopes* gets in, as far as is known."""
        return any(set(alternative) <= set(scopes) for alternative in self.alternatives)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one address, for those ways in that ask the same."""

    method: str
    #: As a template: ``/api/todos/{id}/``.
    path: str
    #: What may come in, each way as what a request holds: ``("key",)``, ``("token",)``, both at once.
    ways_in: frozenset[WayIn]
    requirement: Requirement

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def beside(self, name: str) -> Alternatives:
        """Return what else suffices together with scope *name*: one empty set where it does alone, none if never."""
        rest = [
            tuple(other for other in alternative if other != name)
            for alternative in self.requirement.alternatives
            if name in alternative
        ]
        return _least(rest)


def operations() -> tuple[Operation, ...]:
    """Return all operations that take keys or tokens, by address; those that are closed to every one are left out."""
    # Views change with the process. An address can depend on the language, and what a test asks of views on a setting.
    return _operations(get_resolver(), get_language(), settings.REQUIRE_DECLARED_SCOPES)


def opened_by_key(scopes: Collection[str], *, claims: Values, acts_for_user: bool) -> list[Operation]:
    """Return the operations that an API key with *scopes* and *claims* reaches, as far as is known."""
    return [
        operation
        for operation in operations()
        if ("key",) in operation.ways_in
        and operation.requirement.is_met_by(scopes)
        and all(asked.is_met_by(claims) for asked in operation.requirement.claims)
        and (acts_for_user or not operation.requirement.needs_person)
    ]


def requirement_of(
    permissions: Sequence[Any] | None,
    demands: Iterable[Demand],
    *,
    required: Any,
    method: str,
    action: str | None,
    way_in: WayIn,
) -> Requirement:
    """
    Return what a view asks that has *permissions*, classes or instances, and whose decorators have *demands*.

    *permissions* is None where they can't be told. *required* is the view's ``required_scopes``.
    """
    demanded = [_demanded(demand, method=method, action=action) for demand in demands]
    if permissions is None or (isinstance(required, property) and _asks_the_view(permissions)):
        # Decorators check in any case.
        return Requirement(alternatives=_within(way_in, _all(demanded)) if demanded else CLOSED)
    if not demanded and not any(map(opens_to_keys, permissions)) and settings.REQUIRE_DECLARED_SCOPES:
        return Requirement(alternatives=CLOSED)
    named = _named(required, method=method, action=action)
    asked = [*(_of(permission, named=named, way_in=way_in) for permission in permissions), *demanded]
    return Requirement(
        alternatives=_within(way_in, _all(asked)),
        needs_person=any(map(_needs_person, permissions)),
        claims=tuple(_claims(permissions)),
    )


@lru_cache(maxsize=8)
def _operations(*_asked_under: Any) -> tuple[Operation, ...]:
    found: dict[tuple[str, str], list[Operation]] = {}
    for endpoint in endpoints():
        if not _is_suffixed(endpoint.path):
            for method in endpoint.actions:
                found[endpoint.path, method] = _operations_of(endpoint, method)
    in_order = sorted(found, key=lambda place: (place[0], _rank(place[1])))
    return tuple(operation for place in in_order for operation in found[place])


def _operations_of(endpoint: Endpoint, method: str) -> list[Operation]:
    """Return what is open of *method*, one operation for each requirement that some way in meets."""
    ways_in: dict[Requirement, set[WayIn]] = {}
    for way_in in sorted(endpoint.ways_in):
        requirement = requirement_of(
            endpoint.permissions,
            endpoint.demands(method),
            required=endpoint.attribute("required_scopes"),
            method=method,
            action=endpoint.actions[method],
            way_in=way_in,
        )
        if requirement.alternatives:
            ways_in.setdefault(requirement, set()).add(way_in)
    return [
        Operation(method=method, path=endpoint.path, ways_in=frozenset(ways), requirement=requirement)
        for requirement, ways in ways_in.items()
    ]


def _of(permission: Any, *, named: tuple[str, ...], way_in: WayIn) -> Alternatives:
    operands = operands_of(permission)
    if joins_by(permission, NoneOf, NOT):
        is_closed = any(is_always_satisfied(operand) and _is_enough(operand, way_in) for operand in operands)
        return CLOSED if is_closed else ANY
    parts = [_of(operand, named=named, way_in=way_in) for operand in operands]
    if joins_by(permission, AnyOf, OR):
        if not is_kind(permission, AnyOf):
            # REST framework's own stops where HasScopes refuses, so what stands after that never counts.
            return parts[0] if _raises(operands[0]) else _least([*parts[0], *parts[1]])
        pairs = zip(which_count_for_keys(operands), parts, strict=True)
        return _least([names for counts, part in pairs if counts for names in part])
    if operands:
        return _all(parts)
    if is_kind(permission, HasScopes):
        return _alternatives(permission.names or named, match_any=permission.match == "any")
    is_closed = is_kind(permission, IsSessionUser) or not _is_enough(permission, way_in)
    return CLOSED if is_closed else ANY


def _is_enough(permission: Any, way_in: WayIn) -> bool:
    return set(getattr(permission, "needs_credentials", ())) <= set(way_in)


def _within(way_in: WayIn, alternatives: Alternatives) -> Alternatives:
    """Return those of *alternatives* that can be held: a token never has a reserved scope."""
    if "token" not in way_in:
        return alternatives
    return tuple(names for names in alternatives if not any(name.startswith(RESERVED_BEGINNING) for name in names))


def _demanded(demand: Demand, *, method: str, action: str | None) -> Alternatives:
    return _alternatives(_named(demand.declared, method=method, action=action), match_any=demand.match == "any")


def _alternatives(names: tuple[str, ...], *, match_any: bool) -> Alternatives:
    if not names:
        return CLOSED
    return _least([(name,) for name in names]) if match_any else (tuple(dict.fromkeys(names)),)


def _named(declared: Any, *, method: str, action: str | None) -> tuple[str, ...]:
    if isinstance(declared, property):
        return ()
    try:
        return as_names(named_scopes(declared, method=method, action=action))
    except TypeError:
        return ()  # E003 says so


def _all(parts: Iterable[Alternatives]) -> Alternatives:
    """Return the alternatives of what asks for all of *parts*."""
    return _least([tuple(dict.fromkeys(name for names in chosen for name in names)) for chosen in product(*parts)])


def _least(found: Iterable[tuple[str, ...]]) -> Alternatives:
    """Return *found* without what needs more than another one of it."""
    distinct = list({frozenset(names): names for names in found}.items())
    return tuple(names for held, names in distinct if not any(other < held for other, _ in distinct))


def _asks_the_view(permissions: Sequence[Any]) -> bool:
    return any(is_kind(item, HasScopes) and not item.names for item in _leaves(permissions))


def _raises(permission: Any) -> bool:
    return any(is_kind(item, HasScopes) for item in _leaves([permission]))


def _leaves(permissions: Iterable[Any]) -> Iterable[Any]:
    for permission in permissions:
        operands = operands_of(permission)
        yield from _leaves(operands) if operands else (permission,)


def _needs_person(permission: Any) -> bool:
    operands = operands_of(permission)
    if joins_by(permission, NoneOf, NOT):
        return False
    if joins_by(permission, AnyOf, OR):
        ways_in = [operand for operand, counts in zip(operands, which_count_for_keys(operands), strict=True) if counts]
        return bool(ways_in) and all(map(_needs_person, ways_in))
    return any(map(_needs_person, operands)) or is_kind(permission, HasOwner)


def _claims(permissions: Iterable[Any]) -> Iterator[Any]:
    for permission in permissions:
        if is_kind(permission, HasClaim):
            yield permission
        elif joins_by(permission, AllOf, AND):
            yield from _claims(operands_of(permission))


def _is_suffixed(path: str) -> bool:
    # The same view once more, for who writes the format into the address.
    return path.removesuffix("/").endswith(".{format}")


def _rank(method: str) -> int:
    return _METHODS.index(method) if method in _METHODS else len(_METHODS)
