"""The one response that holds a secret."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import keys, policy
from ..core.errors import APIKeysError
from ..issuance import IssuedKey
from ..page_headers import protect
from ..registry import declared
from ..status import absolute, relative
from .pages import key_url, list_url, page_context, template_path

if TYPE_CHECKING:
    from .key_admin import APIKeyAdmin

logger = logging.getLogger("apikeys.admin")


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A command to paste, with a variable where the key goes."""

    id: str
    label: str
    code: str


class RevealResponse(TemplateResponse):
    """
    Show a new key, once.

    Django renders a ``TemplateResponse`` after the view, and so after the commit, also with ``ATOMIC_REQUESTS``: a
    secret that is shown is a secret that works. Where it can't be shown, nobody has it, and the key is withdrawn.
    """

    @sensitive_variables("issued")
    def __init__(self, admin: APIKeyAdmin, request: HttpRequest, issued: IssuedKey) -> None:
        super().__init__(request, template_path("reveal.html"), {})
        self.admin = admin
        self.issued = issued
        self.user = request.user
        protect(self)

    def resolve_context(self, context: Any) -> Any:
        return {**self._context(), **context}

    def render(self) -> Any:
        if self.is_rendered:
            return self
        try:
            return super().render()
        except Exception as error:  # noqa: BLE001  # whatever it was, nobody saw the key, so it must not go on working
            self._withdraw(error)
            return self

    def _context(self) -> dict[str, Any]:
        request, key = self._request, self.issued.key
        assert request is not None  # noqa: S101  # given in __init__
        now = timezone.now()
        old = key.replaces
        return page_context(
            self.admin,
            request,
            title=_("Copy your new key") if old is None else _("Copy the replacement key"),
            key=key,
            # As a whole: what Django logs of a context is its repr, and this one's keeps the plaintext to itself.
            issued=self.issued,
            scopes=declared(key.scopes),
            expires=key.expires_at and absolute(key.expires_at),
            expires_in=key.expires_at and relative(key.expires_at, now=now),
            old=old,
            old_stops=old and old.overlap_ends_at and absolute(old.overlap_ends_at),
            old_waits=old is not None and old.overlap_from_use is not None,
            old_has_stopped=old is not None and old.is_rotated_out(now=now),
            revoke_url=key_url(self.admin, key, "revoke") if policy.may_revoke(self.user) else "",
            snippets=snippets(request),
        )

    def _withdraw(self, error: Exception) -> None:
        key = self.issued.key
        try:
            keys.withdraw_undelivered(key, by=self.user, source="admin")
        except (APIKeysError, DatabaseError):
            # Without the traceback, whose frames hold the key.
            logger.error("key %s was shown to nobody and could not be withdrawn: revoke it", key.key_id)  # noqa: TRY400
        # Where, but not what: the message of a template's error may quote its context.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error(
            "the page with key %s could not be rendered: %s\n%s",
            self.issued.key.key_id,
            type(error).__name__,
            where,
        )
        self.status_code = 500
        # Without the admin's templates, which may be what is broken.
        self.content = render_to_string(template_path("undelivered.html"), {"add_url": list_url(self.admin, "add")})


def snippets(request: HttpRequest) -> Sequence[Snippet]:
    """Return ways to try a key. None holds it: only one thing on the page is secret."""
    try:
        url = request.build_absolute_uri(reverse("apikeys:whoami"))
    except NoReverseMatch:
        # The project took the app without its addresses.
        url = request.build_absolute_uri("/")
    paste = _("paste the key, press Enter")
    read = f"read -rs API_KEY     # {paste}"
    return [
        Snippet(id="curl", label="curl", code=f'{read}\ncurl -H "Authorization: Bearer $API_KEY" {url}'),
        Snippet(id="httpie", label="HTTPie", code=f'{read}\nhttp -A bearer -a "$API_KEY" {url}'),
        Snippet(
            id="python",
            label="Python",
            code=(
                "from getpass import getpass\nfrom urllib.request import Request, urlopen\n\n"
                f'key = getpass("API key: ")  # {paste}\n'
                f'request = Request("{url}", headers={{"Authorization": f"Bearer {{key}}"}})\n'
                "print(urlopen(request).read().decode())"
            ),
        ),
        Snippet(
            id="javascript",
            label="JavaScript",
            code=(
                "// Node.js 18 or newer, with the key in the environment variable API_KEY\n"
                f'const answer = await fetch("{url}", {{\n'
                "  headers: { Authorization: `Bearer ${process.env.API_KEY}` },\n"
                "});\nconsole.log(answer.status, await answer.json());"
            ),
        ),
        Snippet(
            id="powershell",
            label="PowerShell",
            code=(
                f'$key = Read-Host "API key" -AsSecureString     # {paste}\n'
                f"Invoke-RestMethod {url} -Authentication Bearer -Token $key"
            ),
        ),
    ]
