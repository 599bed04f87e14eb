"""``HasClaim``: what a view demands of its caller besides scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rest_framework.request import Request

from ..core.claims import Values
from ..registry import declared_claims
from .permissions import Composable, CredentialPermission, bound, principal_of
from .refusals import Refused

if TYPE_CHECKING:
    # Not at run time, as in ``permissions``.
    from rest_framework.views import APIView


class _BoundByCall(Composable):
    name: str

    def __call__(cls, *name_and_values: Any) -> Any:
        # As with HasScopes: REST framework calls the items of permission_classes with nothing, for an instance.
        if cls.name and not name_and_values:
            return super().__call__()
        name, *values = name_and_values or ("",)
        if not isinstance(name, str) or not name:
            message = "HasClaim needs the name of a claim: HasClaim('subscription', 'premium')."
            raise TypeError(message)
        if not all(isinstance(value, str | int | float) for value in values):
            message = f"HasClaim takes texts, numbers and booleans, one after the other, not {values!r}."
            raise TypeError(message)
        return bound(cls, name=name, values=tuple(values))


class HasClaim(CredentialPermission, metaclass=_BoundByCall):
    """
    The client or the key has a claim.

    ``HasClaim("subscription", "premium")``, ``HasClaim("subscription", "premium", "trial")`` for either; of a claim
    that is a list, one item will do. ``HasClaim("beta")`` takes any value but ``False``, zero and nothing. It opens no
    view by itself: join it with ``HasScopes`` by ``&``.
    """

    narrows_keys = True
    name: ClassVar[str] = ""
    values: ClassVar[tuple[Any, ...]] = ()

    if TYPE_CHECKING:
        # What the metaclass does, in words that type checkers follow.
        def __new__(cls, name: str, *values: Any) -> Any: ...

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = principal_of(request)
        if principal is None:
            # Claims are said of keys, and mean nothing to a session user.
            return False
        if not self.is_met_by(principal.claims):
            declared = declared_claims().get(self.name)
            raise Refused(
                "claim_missing",
                about=principal.about,
                request=request,
                texts={"label": self.name if declared is None else str(declared.label), "name": self.name},
                # The name alone: which values open it is no business of who has another.
                required_claim=self.name,
            )
        return True

    @classmethod
    def is_met_by(cls, claims: Values) -> bool:
        """Whether *claims* have one of the values, or any that says yes where none is named."""
        value = claims.get(cls.name)
        items = value if isinstance(value, list | tuple) else (value,)
        if not cls.values:
            return bool(value)
        return any(_are_same(item, wanted) for item in items for wanted in cls.values)


def _are_same(value: Any, wanted: Any) -> bool:
    # True equals 1 in Python, and a seat is no yes.
    return value is not None and isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
