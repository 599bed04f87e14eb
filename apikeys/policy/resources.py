"""What API servers are called in tokens, and which of them a client may name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import islice
from urllib.parse import urlsplit

from django.db import router
from django.utils.translation import gettext as _

from ..conf import settings
from ..core import errors
from ..models import Client

#: In characters; the column is as wide.
MAX_RESOURCE = 200
#: Of one client: each of its tokens and introspections asks for one of them.
MAX_AUDIENCES = 50

#: An absolute URI without a query or a fragment (RFC 8707 section 2, RFC 3986).
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z~]+")
_MOST_NAMED = 5


def clean_resource(text: str | None) -> str | None:
    """
    Return *text* as it is stored: what an API server is called in tokens, None for a client that is none.

    Raises:
        ResourceRefusedError: If it is no absolute URI, or names the authority itself.
    """
    text = (text or "").strip()
    if not text:
        return None
    if not _is_resource(text):
        message = _("“%(text)s” can name no API server. Write it as https://api.example.com, without “?” and “#”.")
        raise errors.ResourceRefusedError(message % {"text": text}, text=text)
    if text == settings.ISSUER:
        message = _("“%(text)s” is this authority itself. A client that bore its name could read all of its tokens.")
        raise errors.ResourceRefusedError(message % {"text": text}, text=text)
    return text


def clean_audiences(lines: str | Sequence[str]) -> list[str]:
    """
    Return *lines*, the addresses of API servers, each once.

    Raises:
        ResourceRefusedError: If one can name no API server, or there are more than ``MAX_AUDIENCES``.
    """
    texts = lines.splitlines() if isinstance(lines, str) else lines
    found = list(dict.fromkeys(filter(None, (text.strip() for text in texts))))
    for text in found:
        clean_resource(text)
    if len(found) > MAX_AUDIENCES:
        message = _("At most %(most)d API servers can be listed.") % {"most": MAX_AUDIENCES}
        raise errors.ResourceRefusedError(message, text="")
    return found


def require_servers(audiences: Collection[str], *, without: str | None = None) -> None:
    """
    Pass where each of *audiences* is the address of a client. *without* is about to be no longer.

    Otherwise whoever took an address later would be told of keys that nobody meant it to know.

    Raises:
        ResourceRefusedError: If one is not; the message names it.
    """
    if not audiences:
        return
    clients = Client.objects.using(router.db_for_write(Client)).filter(resource__in=audiences)
    # Compared here: some collations fold case.
    known = set(clients.values_list("resource", flat=True))
    for text in audiences:
        if text not in known or text == without:
            message = _("No client is the API server “%(text)s”. Give that client its address first.")
            raise errors.ResourceRefusedError(message % {"text": text}, text=text)


def refuse_named_resource(client: Client, *, resource: str) -> None:
    """
    Pass where no other client than *client* names *resource* among its API servers.

    Raises:
        ResourceRefusedError: If one does; the message names some.
    """
    others = Client.objects.using(router.db_for_write(Client)).exclude(pk=client.pk)
    # As text first; it may be the beginning of another address.
    found = others.filter(audiences__contains=resource).only("name", "audiences").iterator()
    # As many as are shown, and whether there are more.
    naming = list(islice((other.name for other in found if resource in other.audiences), _MOST_NAMED + 1))
    if naming:
        shown = ", ".join([*naming[:_MOST_NAMED], *(["…"] if naming[_MOST_NAMED:] else [])])
        message = _("Other clients name “%(text)s” as their API server: %(clients)s. Take it away there first.")
        raise errors.ResourceRefusedError(message % {"text": resource, "clients": shown}, text=resource)


def _is_resource(text: str) -> bool:
    if len(text) > MAX_RESOURCE or _URI.fullmatch(text) is None:
        return False
    try:
        parts = urlsplit(text)
        _port = parts.port
    except ValueError:
        return False
    # Other schemes, such as urn:, have no host.
    return parts.scheme not in {"http", "https"} or (bool(parts.hostname) and parts.username is None)
