"""The headers of all pages for people, in the admin and beside it: what they show is nobody else's business."""

from __future__ import annotations

from django.http import HttpResponseBase


def protect(response: HttpResponseBase) -> None:
    """Keep the page out of caches, frames and other sites' logs."""
    response["Cache-Control"] = "no-store"
    # Not "no-referrer": Django's CSRF check of the page's own forms needs one.
    response["Referrer-Policy"] = "same-origin"
    response["X-Frame-Options"] = "DENY"
