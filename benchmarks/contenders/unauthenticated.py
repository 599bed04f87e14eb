"""The view as it is: what every other contender's cost is counted from."""

from __future__ import annotations

from typing import Any

from ..contender import Case, Credentials, Package


class Unauthenticated(Package):
    """Nobody is asked anything; or everybody is refused, by REST framework alone."""

    name = "unauthenticated"
    cases = (
        Case(name="unauthenticated", label="no authentication", sends="any"),
        Case(name="refused", label="no authentication, everybody refused", sends="any", expects=403),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from rest_framework.permissions import IsAuthenticated

        return {"permission_classes": [IsAuthenticated] if case.name == "refused" else []}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        return {"any": ["Bearer nobody-looks-at-this"]}
