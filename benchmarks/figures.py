"""The arithmetic of rounds: medians, spreads, what a contender costs, and how that compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

#: Above it, the median of so few rounds says little.
MOST_SPREAD = 0.10
BASELINE = "unauthenticated"
_BEST = "drf-api-key"
#: What a contender's cost is compared with, where that is not the best of the packages that look at the database.
_RIVALS = {
    "apikeys-distinct": "drf-api-key-distinct",
    "apikeys-stale": "simplejwt",
    "apikeys-stale-distinct": "simplejwt",
    "apikeys-forged": "drf-api-key-forged",
    "apikeys-mistyped": "drf-api-key-forged",
    "apikeys-other-secret": "drf-api-key-forged",
}


def spread(rounds: Sequence[float]) -> float:
    """Return how far rounds lie apart: their interquartile range, as a share of their median."""
    if len(rounds) < 2:  # noqa: PLR2004  # one round has no range
        return 0.0
    lower, _, upper = quantiles(rounds, n=4, method="inclusive")
    return (upper - lower) / median(rounds)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one contender's rounds come to. Times are microseconds a request."""

    label: str
    median: float
    spread: float
    #: Above the same view without authentication.
    cost: float
    counts: Mapping[str, float]

    @property
    def is_noisy(self) -> bool:
        """Whether its rounds lie too far apart to be believed."""
        return self.spread > MOST_SPREAD


def figures(contenders: Mapping[str, Any]) -> dict[str, Figures]:
    """Return the figures of *contenders*, the results of rounds in which the baseline took part."""
    baseline = median(contenders[BASELINE]["rounds"])
    return {
        name: Figures(
            label=result["label"],
            median=median(result["rounds"]),
            spread=spread(result["rounds"]),
            cost=median(result["rounds"]) - baseline,
            counts=result["counts"],
        )
        for name, result in contenders.items()
    }


def rival(name: str) -> str:
    """Return the contender that *name* is compared with."""
    return _RIVALS.get(name, _BEST)


def cost_ratio(found: Mapping[str, Figures], name: str, *, to: str) -> float | None:
    """Return the cost of *name* as a share of that of *to*; None where either was not measured."""
    if name not in found or to not in found or found[to].cost <= 0:
        return None
    return found[name].cost / found[to].cost


def shares(http: Mapping[str, Any]) -> dict[str, float]:
    """Return each contender's throughput as a share of the baseline's."""
    baseline = median(http[BASELINE]["rounds"])
    return {name: median(result["rounds"]) / baseline for name, result in http.items()}
