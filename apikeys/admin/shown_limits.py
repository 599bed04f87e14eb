"""What a key may use, which of the three that can say so said it, and what of it is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import quotas
from ..conf import settings
from ..core.errors import RateSyntaxError
from ..core.rates import Quota, Rate, strictest_quotas, strictest_rates
from ..models import APIKey, Client
from ..status import absolute, grouped

Limit = TypeVar("Limit", Rate, Quota)


@dataclass(frozen=True, kw_only=True)
class ShownLimit:
    """One limit that counts."""

    text: str
    #: Who set it: this key, its client, the project.
    source: str
    #: Of a quota: how much is left, and when it begins anew. Empty of a rate, and where it is not known.
    left: str = ""
    resets: str = ""
    resets_at: datetime | None = None


def limits_of_key(key: APIKey) -> list[ShownLimit]:
    """Return what counts for *key* and its replacements, with what is left of quotas. One query where it has any."""
    sources = [
        (gettext_lazy("this key"), key.rates, key.quotas),
        (gettext_lazy("the client"), key.client.rates, key.client.quotas),
        (gettext_lazy("the project"), settings.RATES, settings.QUOTAS),
    ]
    return _limits(sources, family=key.family)


def limits_of_client(client: Client) -> list[ShownLimit]:
    """Return what counts for each key of *client* that has no stricter limits itself."""
    sources = [
        (gettext_lazy("the client"), client.rates, client.quotas),
        (gettext_lazy("the project"), settings.RATES, settings.QUOTAS),
    ]
    return _limits(sources, family="")


def _limits(sources: Sequence[tuple[Promise, Sequence[str], Sequence[str]]], *, family: str) -> list[ShownLimit]:
    try:
        rates = _with_sources([(name, rates) for name, rates, _quotas in sources], strictest_rates)
        shares = _with_sources([(name, quotas) for name, _rates, quotas in sources], strictest_quotas)
    except RateSyntaxError as error:
        # Written past the forms and checks. Requests with such a key are refused.
        return [ShownLimit(text=str(error), source=_("can't be read"))]
    shown = [ShownLimit(text=str(rate), source=source) for rate, source in rates]
    if not family or not shares:
        return shown + [ShownLimit(text=str(quota), source=source) for quota, source in shares]
    standings = {standing.quota: standing for standing in quotas.standing_of(family, [quota for quota, _ in shares])}
    for quota, source in shares:
        standing = standings[quota]
        shown.append(
            ShownLimit(
                text=str(quota),
                source=source,
                left=grouped(standing.remaining),
                resets=absolute(standing.resets_at),
                resets_at=standing.resets_at,
            )
        )
    return shown


def _with_sources(
    sources: Sequence[tuple[Promise, Sequence[str]]], strictest: Callable[..., tuple[Limit, ...]]
) -> list[tuple[Limit, str]]:
    """Return what counts, each with the first of *sources* that says so."""
    of_each = [(str(name), strictest(tuple(texts))) for name, texts in sources]
    counting = strictest(*(tuple(texts) for _name, texts in sources))
    return [(limit, next(name for name, limits in of_each if limit in limits)) for limit in counting]
