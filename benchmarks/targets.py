"""What must hold, and whether it does. The limits stand here, the figures never do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .figures import BASELINE, MOST_SPREAD, Figures, cost_ratio, figures, rival, shares, spread

#: Of djangorestframework-api-key's cost. SQLite runs in the process; a server answers over a socket.
_LOOK_UP = {"sqlite": (0.30, None), "postgres": (0.60, 0.50)}
_WANTED = ("apikeys", "apikeys-distinct")
_STALE = ("apikeys-stale", "apikeys-stale-distinct")
_TAG_REFUSED = ("apikeys-forged", "apikeys-mistyped", "apikeys-other-secret")
COLD_STARTS = {"shared": "every key known to the shared cache", "alone": "no shared cache, Argon2 at its real cost"}
_DEAD = ("apikeys-revoked", "apikeys-expired")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure and its limit."""

    subject: str
    figure: str
    limit: float
    #: None where it was not measured.
    measured: float | None
    kind: Literal["at most", "at least", "exactly"] = "at most"
    #: What would be better still.
    aim: float | None = None
    #: Whether the rounds that it comes from lie too far apart to be believed.
    is_noisy: bool = False

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if self.measured is None:
            return "not measured"
        met = {
            "at most": self.measured <= self.limit,
            "at least": self.measured >= self.limit,
            "exactly": self.measured == self.limit,
        }
        return "met" if met[self.kind] else "missed"


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Return every target of a run, with what it measured."""
    found = figures(results["contenders"])
    return [
        *_costs(found, database=results["database"]),
        *_counts(found),
        *_over_http(results["http"]),
        *_cold(results["cold"]),
        *_scale(results["scale"]),
    ]


def _costs(found: Mapping[str, Figures], *, database: str) -> Iterator[Target]:
    limits = [(_WANTED, *_LOOK_UP[database]), (_STALE, 0.35, None), (_TAG_REFUSED, 0.10, None)]
    for names, limit, aim in limits:
        for name in names:
            other = rival(name)
            yield Target(
                subject=_label(found, name),
                figure=f"cost, as a share of: {_label(found, other)}",
                limit=limit,
                measured=cost_ratio(found, name, to=other),
                aim=aim,
                is_noisy=_are_noisy(found, BASELINE, name, other),
            )


def _counts(found: Mapping[str, Figures]) -> Iterator[Target]:
    groups = [
        (_WANTED, {"queries": 1, "writes": 0, "hashes": 0, "instances": 0}),
        (_TAG_REFUSED, {"queries": 0, "hashes": 0}),
        (_DEAD, {"queries": 1, "writes": 0, "hashes": 0}),
    ]
    for names, limits in groups:
        for name in names:
            for what, limit in limits.items():
                yield Target(
                    subject=_label(found, name),
                    figure=f"{_WORDS[what]} a request",
                    limit=limit,
                    measured=found[name].counts[what] if name in found else None,
                    kind="exactly",
                )


_WORDS = {"queries": "queries", "writes": "writes", "hashes": "Argon2 runs", "instances": "model instances"}


def _over_http(http: Mapping[str, Any] | None) -> Iterator[Target]:
    found = http or {"contenders": {}}
    yield Target(
        subject="apikeys, `MAX_STALENESS` 5 s, over HTTP",
        figure="throughput, as a share of no authentication's",
        limit=0.75,
        measured=None if not http else shares(http["contenders"]).get("apikeys-stale"),
        kind="at least",
        aim=0.80,
        is_noisy=any(
            spread(found["contenders"][name]["rounds"]) > MOST_SPREAD
            for name in (BASELINE, "apikeys-stale")
            if name in found["contenders"]
        ),
    )


def _cold(cold: Mapping[str, Any] | None) -> Iterator[Target]:
    for name, limit in (("shared", 0), ("alone", 1)):
        found = (cold or {}).get(name)
        yield Target(
            subject=f"a new process, {COLD_STARTS[name]}, each key sent twice",
            figure="Argon2 runs a key",
            limit=limit,
            measured=None if found is None else found["hashes"] / found["keys"],
            kind="exactly",
        )


def _scale(scale: Mapping[str, Any] | None) -> Iterator[Target]:
    found = figures(scale["contenders"]) if scale else {}
    yield Target(
        subject=f"apikeys, one of {scale['keys'] if scale else 10_000_000:,} keys",
        figure="cost, as a share of that among 10,000",
        limit=1.2,
        measured=cost_ratio(found, "many", to="few"),
        is_noisy=_are_noisy(found, BASELINE, "few", "many"),
    )


def _are_noisy(found: Mapping[str, Figures], *names: str) -> bool:
    return any(found[name].is_noisy for name in names if name in found)


def _label(found: Mapping[str, Figures], name: str) -> str:
    return found[name].label if name in found else name
