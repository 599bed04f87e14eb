"""How often an owner's own keys were used, for the owner: as JSON, and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .. import usage
from ..core import buckets, keyformat
from ..models import APIKey
from ..usage.questions import By
from .authentication import APIKeyAuthentication
from .permissions import HasOwner, HasScopes
from .refusals import iso

_DAYS = 30
_MOST_DAYS: Mapping[By, int] = {"day": 400, "hour": 14}
#: Of an owner who had more, the newest that work, then the newest of the others.
_MOST_KEYS = 50
#: What spreadsheets take for the start of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CSVRenderer(BaseRenderer):
    """One line for each key and hour or day, under a line of names. What could be a formula is quoted."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["key_id", "name", "at", "requests", "denied"])
        writer.writerows(
            [key["key_id"], _plain(key["name"]), point["at"], point["requests"], point["denied"]]
            for key in data["keys"]
            for point in key["series"]
        )
        return out.getvalue()


class UsageView(APIView):
    """The series of the keys that act for the caller's owner. A key and its replacements are one."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("apikeys:usage") & HasOwner]
    renderer_classes = [JSONRenderer, CSVRenderer]

    def handle_exception(self, exc: Exception) -> Response:
        # Programs read refusals and mistakes as everywhere, also where they asked for a spreadsheet.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)

    def get(self, request: Request) -> Response:
        """Return the use of the owner's keys in the last ``days``, ``by`` day or hour, or of one ``key``."""
        now = timezone.now()
        asked = _asked(request.query_params)
        since = _since(asked, now=now)
        keys, is_complete = _keys_of(request.user, key_id=asked.key_id, now=now)
        series = usage.series_of_families([key.family for key in keys], since=since, until=now, by=asked.by)
        counted_until = usage.counted_until()
        body = {
            "since": iso(since),
            "until": iso(now),
            "counted_until": None if counted_until is None else iso(counted_until),
            "is_complete": is_complete,
            "keys": [_reported(key, series[key.family]) for key in keys],
        }
        headers = {"Cache-Control": "no-store"}
        if getattr(request.accepted_renderer, "format", "") == CSVRenderer.format:
            # A table has no place to say so that no program would read as a key.
            name = "usage.csv" if is_complete else "usage-incomplete.csv"
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(body, headers=headers)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    days: int
    by: By
    #: Empty for all keys.
    key_id: str


def _asked(parameters: Any) -> _Asked:
    by: By = "hour" if parameters.get("by") == "hour" else "day"
    if parameters.get("by", by) != by:
        raise _invalid(_("by must be day or hour."))
    text, most = parameters.get("days", str(min(_DAYS, _MOST_DAYS[by]))), _MOST_DAYS[by]
    # At most four digits: Python refuses to read thousands of them, and says so in its own words.
    is_number = text.isascii() and text.isdigit() and len(text) <= len("9999")
    if not is_number or not 1 <= int(text) <= most:
        raise _invalid(_("days must be a whole number from 1 to %(most)d.") % {"most": most})
    return _Asked(days=int(text), by=by, key_id=parameters.get("key", ""))


def _since(asked: _Asked, *, now: datetime) -> datetime:
    zone = timezone.get_default_timezone()
    if asked.by == "hour":
        return buckets.hour_start(now, zone=zone) - timedelta(hours=24 * asked.days - 1)
    return buckets.first_day(days=asked.days, now=now, zone=zone)


def _keys_of(user: Any, *, key_id: str, now: datetime) -> tuple[list[APIKey], bool]:
    """Return the newest key of each family of *user*, and whether these are all: first those that work, then by age."""
    own = APIKey.objects.filter(owner_id=user.pk, acts_for_user=True)
    if key_id:
        # A key of somebody else is as missing as one that never was.
        known = len(key_id) == keyformat.KEY_ID_LENGTH and key_id.isascii() and key_id.isalnum()
        family = own.filter(key_id=key_id).values_list("family", flat=True).first() if known else None
        if family is None:
            raise NotFound({"detail": _("You have no such key."), "code": "key_unknown"})
        own = own.filter(family=family)
    is_working = Exists(APIKey.objects.working(now=now).filter(pk=OuterRef("pk")))
    newest = own.filter(replacement=None).only("key_id", "name", "family").order_by(is_working.desc(), "-pk")
    found = list(newest[: _MOST_KEYS + 1])
    return found[:_MOST_KEYS], len(found) <= _MOST_KEYS


def _reported(key: APIKey, series: Sequence[usage.Point]) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "totals": {
            "requests": sum(point.requests for point in series),
            "denied": sum(point.denied for point in series),
        },
        "series": [{"at": iso(point.at), "requests": point.requests, "denied": point.denied} for point in series],
    }


def _invalid(sentence: str) -> ValidationError:
    return ValidationError({"detail": sentence, "code": "parameter_invalid"})


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
