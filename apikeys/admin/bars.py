"""
Bar charts as SVG, drawn on the server: no script, no inline style, so that the strictest policy lets them pass.

Here is where each bar goes. Its colours are in the style sheet, its numbers in the table that stands under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import formats
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..status import grouped
from ..usage import Point
from ..usage.questions import By

_WIDTH = 600
_HEIGHT = 120
#: The share of its place that a bar leaves free.
_GAP = 0.2
_SMALL_WIDTH = 84
_SMALL_HEIGHT = 20


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One day or hour. Lengths are texts: a number would be written with the comma of the reader's language."""

    at: datetime
    label: str
    requests: int
    denied: int
    x: str
    width: str
    allowed_y: str
    allowed_height: str
    denied_y: str
    denied_height: str

    @property
    def sentence(self) -> str:
        """What the bar says."""
        text = ngettext("%(label)s: %(count)s request", "%(label)s: %(count)s requests", self.requests)
        text %= {"label": self.label, "count": grouped(self.requests)}
        # On a line of its own: what stands inside an f-string is not found by makemessages.
        denied = _("%(count)s denied") % {"count": grouped(self.denied)}
        return f"{text}, {denied}" if self.denied else text

    @property
    def shown_requests(self) -> str:
        """How the table says it."""
        return grouped(self.requests)

    @property
    def shown_denied(self) -> str:
        """How the table says it."""
        return grouped(self.denied)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars beside each other, oldest first, and what a reader who can't see them is told."""

    bars: Sequence[Bar]
    sentence: str
    most: int
    width: int = _WIDTH
    height: int = _HEIGHT

    @property
    def newest_first(self) -> Sequence[Bar]:
        """The bars as the table lists them."""
        return self.bars[::-1]

    @property
    def shown_most(self) -> str:
        """What the top of the chart stands for."""
        return grouped(self.most)


def chart(points: Sequence[Point], *, by: By, period: str) -> Chart:
    """Return the chart of *points*, which are *by* the day or hour; *period* says how long that is: "30 days"."""
    most = max((point.requests for point in points), default=0)
    place = _WIDTH / max(len(points), 1)
    bars = [
        _bar(point, label=_label(point.at, by=by), x=number * place, width=place * (1 - _GAP), most=most)
        for number, point in enumerate(points)
    ]
    return Chart(bars=bars, sentence=_sentence(bars, period=period), most=most)


def small_chart(days: Sequence[int]) -> SafeString:
    """Return the bars of *days*, the requests of each, for the cell of a list, with the sentence that they say."""
    most = max(days, default=0)
    place = _SMALL_WIDTH / max(len(days), 1)
    rectangles = (
        (_length(number * place), _length(_SMALL_HEIGHT - height), _length(place * (1 - _GAP)), _length(height))
        for number, count in enumerate(days)
        if (height := _height(count, most=most, full=_SMALL_HEIGHT))
    )
    total = sum(days)
    text = ngettext("%(count)s request in %(days)d days", "%(count)s requests in %(days)d days", total)
    return format_html(
        '<svg class="apikeys-small-bars" role="img" aria-label="{}" width="{w}" height="{h}" viewBox="0 0 {w} {h}">'
        "{bars}</svg>",
        text % {"count": grouped(total), "days": len(days)},
        w=_SMALL_WIDTH,
        h=_SMALL_HEIGHT,
        bars=format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"/>', rectangles),
    )


def _bar(point: Point, *, label: str, x: float, width: float, most: int) -> Bar:
    height = _height(point.requests, most=most, full=_HEIGHT)
    denied = height * point.denied / point.requests if point.requests else 0.0
    return Bar(
        at=point.at,
        label=label,
        requests=point.requests,
        denied=point.denied,
        x=_length(x),
        width=_length(width),
        allowed_y=_length(_HEIGHT - height + denied),
        allowed_height=_length(height - denied),
        denied_y=_length(_HEIGHT - height),
        denied_height=_length(denied),
    )


def _label(at: datetime, *, by: By) -> str:
    # Days are the project's, whatever the reader's time zone: theirs would begin in the middle of one.
    return formats.date_format(at, "j F Y") if by == "day" else formats.date_format(at, "j F, H:i T")


def _height(count: int, *, most: int, full: int) -> float:
    # One request among a million is seen, too.
    return max(full * count / most, 1.0) if count else 0.0


def _length(number: float) -> str:
    return f"{number:.2f}"


def _sentence(bars: Sequence[Bar], *, period: str) -> str:
    requests, denied = sum(bar.requests for bar in bars), sum(bar.denied for bar in bars)
    if not requests:
        return _("No requests in %(period)s.") % {"period": period}
    busiest = max(bars, key=lambda bar: bar.requests)
    text = ngettext(
        "%(count)s request in %(period)s, %(denied)s of them denied; most on %(label)s: %(most)s.",
        "%(count)s requests in %(period)s, %(denied)s of them denied; most on %(label)s: %(most)s.",
        requests,
    )
    return text % {
        "count": grouped(requests),
        "period": period,
        "denied": grouped(denied),
        "label": busiest.label,
        "most": grouped(busiest.requests),
    }
