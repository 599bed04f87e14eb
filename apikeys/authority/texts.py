"""What a text claims to be, before anything of it is verified."""

from __future__ import annotations

from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..signed.tokens import issuer_of, looks_signed
from .issuer import issuer


@sensitive_variables("text")
def claims_to_be_key(text: str) -> bool:
    """Whether *text* begins as an API key does."""
    return text.startswith(f"{settings.PREFIX}_")


@sensitive_variables("text")
def claims_to_be_signed(text: str) -> bool:
    """Whether *text* looks like a token that was signed here."""
    return looks_signed(text) and issuer_of(text) == issuer()
