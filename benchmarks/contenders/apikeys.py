"""What this repository is about, in the cases that matter: wanted keys, many keys, dead keys, keys nobody issued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ..contender import Case, Credentials, Package

_APIKEYS = {"SCOPES": {"todo:read": "View to-dos"}}
#: Ten thousand keys would take minutes to make and prove. Once proven, what it cost makes no difference.
_CHEAP = {"memory_kib": 8, "time": 1, "parallelism": 1}
_STALE = timedelta(seconds=5)


def _case(name: str, label: str, sends: str, **changed: Any) -> Case:
    fields = {field: changed.pop(field) for field in ("expects", "warm_up", "is_in_table") if field in changed}
    return Case(name=name, label=label, sends=sends, settings={"APIKEYS": {**_APIKEYS, **changed}}, **fields)


class APIKeys(Package):
    """A key with a scope, under a client's ceiling, of a person; and its variants."""

    name = "apikeys"
    distribution = "django-apikeys"
    apps = ("apikeys",)
    cases = (
        _case("apikeys", "apikeys", "hot"),
        _case("apikeys-distinct", "apikeys, 10,000 keys", "distinct", warm_up="once", ARGON2=_CHEAP),
        _case("apikeys-first-use", "apikeys, each key once a minute", "fleeting", ARGON2=_CHEAP),
        _case("apikeys-service", "apikeys, service key", "service"),
        _case("apikeys-networks", "apikeys, networks set", "networks"),
        _case("apikeys-stale", "apikeys, `MAX_STALENESS` 5 s", "hot", MAX_STALENESS=_STALE),
        _case(
            "apikeys-stale-distinct",
            "apikeys, `MAX_STALENESS` 5 s, 10,000 keys",
            "distinct",
            ARGON2=_CHEAP,
            MAX_STALENESS=_STALE,
        ),
        _case("apikeys-forged", "apikeys, forged", "forged", expects=401),
        _case("apikeys-mistyped", "apikeys, mistyped", "mistyped", expects=401),
        _case("apikeys-other-secret", "apikeys, real key id, other secret", "other secret", expects=401),
        _case("apikeys-revoked", "apikeys, revoked", "revoked", expects=401),
        _case("apikeys-expired", "apikeys, expired", "expired", expects=401),
        _case("apikeys-alone", "apikeys, no shared cache", "slow", is_in_table=False, CACHE=None),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from apikeys.drf import APIKeyAuthentication, HasScopes

        return {"authentication_classes": [APIKeyAuthentication], "permission_classes": [HasScopes("todo:read")]}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from .. import apikeys_rows

        return apikeys_rows.fill(rows=rows, sent=sent, argon2=_CHEAP)

    def count_rows(self) -> int | None:
        from apikeys.models import APIKey

        return APIKey.objects.count()

    def before_round(self, case: Case, credentials: Sequence[str]) -> None:
        if case.name == "apikeys-first-use":
            from .. import apikeys_rows

            apikeys_rows.forget_uses(credentials)
