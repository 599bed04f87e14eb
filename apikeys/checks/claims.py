"""What is wrong with the claims that the project declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from ..conf import settings
from ..core.claims import KINDS, claim_from_declaration
from ..core.errors import ClaimSyntaxError
from . import TAG


@register(Tags.security, TAG)
def check_claims(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find claims that can't be read, or whose name means something in tokens already (E016)."""
    declarations: Any = settings.CLAIMS
    messages: list[CheckMessage] = []
    for name, declaration in declarations.items() if isinstance(declarations, Mapping) else ():
        try:
            claim_from_declaration(name, declaration)
        except ClaimSyntaxError as error:
            hint = (
                f"Nobody has this claim. Declare one as 'seats': 'integer', of the types {', '.join(KINDS)}, or as a "
                "dict with type, choices, visible_to, label, text."
            )
            messages.append(Error(f"APIKEYS['CLAIMS']: {error}", hint=hint, id="apikeys.E016"))
    return messages
