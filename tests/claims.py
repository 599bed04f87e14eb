"""Claims that tests declare, and how they are said."""

from __future__ import annotations

from typing import Any

from django.test import override_settings

from apikeys.conf import settings

SERVERS, SHARING = "servers", "https://sharing.example.com"
CLAIMS: dict[str, Any] = {
    "subscription": {
        "type": "text",
        "choices": ["free", "premium"],
        "visible_to": SERVERS,
        "label": "Subscription",
        "text": "What they pay for.",
    },
    "seats": "integer",
    "discount": "number",
    "beta": "boolean",
    "regions": {"type": "texts", "visible_to": [SHARING]},
    "contract": "text",
    "plans": {"type": "texts", "choices": ["small", "large"]},
    "tier": {"type": "integer", "choices": [1, 2]},
}

#: What each control in the admin is called, and what it sends where nothing is said.
EMPTY: dict[str, Any] = {
    "claim_subscription": "",
    "claim_seats": "",
    "claim_discount": "",
    "claim_beta": "",
    "claim_regions": "",
    "claim_contract": "",
    "claim_plans": [],
    "claim_tier": "",
}
FILLED: dict[str, Any] = {
    "claim_subscription": "premium",
    "claim_seats": "3",
    "claim_discount": "0.5",
    "claim_beta": "false",
    "claim_regions": " eu \r\n\r\nus\r\n",
    "claim_contract": "2026/7",
    "claim_plans": ["small"],
    "claim_tier": "2",
}
SAID = {
    "subscription": "premium",
    "seats": 3,
    "discount": 0.5,
    "beta": False,
    "regions": ["eu", "us"],
    "contract": "2026/7",
    "plans": ["small"],
    "tier": 2,
}


def declared(**claims: Any) -> override_settings:
    """Return a context manager or decorator under which ``CLAIMS`` are declared, and *claims* in their place."""
    return override_settings(APIKEYS={**settings.given(), "CLAIMS": {**CLAIMS, **claims}})


def stored(row: Any) -> Any:
    """Return *row*, a client or a key, as it is stored now."""
    return type(row).objects.get(pk=row.pk)


def html_of(response: Any) -> str:
    """Return the page in *response*, one space between words."""
    return " ".join(response.content.decode().split())
