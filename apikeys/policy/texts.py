"""What people may call a key and write about it, and the lines in which they list networks, rates and quotas."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from django.utils.translation import gettext as _

from ..conf import settings
from ..core import errors, keyformat
from ..core.letters import is_unprintable
from ..core.networks import normalise_networks
from ..core.rates import normalise_quotas, normalise_rates

#: Letters and symbols that show nothing.
_BLANKS = set("\u115f\u1160\u2800\u3164\uffa0")
#: In characters; the columns of names and notes are as wide.
MAX_NAME = 80
MAX_NOTE = 200
MAX_NETWORKS = 100
MAX_DESCRIPTION = 2000
#: Of rates, and of quotas: each request counts against them all.
MAX_LIMITS = 10


def clean_text(text: str, *, most: int, what: str, lines: bool = False) -> str:
    """
    Return *text* without surrounding space; *lines* allows several.

    Raises:
        NameRefusedError: If it is longer than *most*, holds control characters or looks like a key.
    """
    text = text.strip()
    if any(is_unprintable(letter) for letter in text if not (lines and letter in "\r\n")):
        raise errors.NameRefusedError(_("%(what)s must not contain control characters.") % {"what": what})
    # One writing for what looks the same: a name is typed again to confirm, and compared with others.
    text = unicodedata.normalize("NFC", text if lines else " ".join(text.split()))
    if len(text) > most:
        message = _("%(what)s may have at most %(most)d characters.")
        raise errors.NameRefusedError(message % {"what": what, "most": most})
    if keyformat.key_pattern(settings.PREFIX).search(text):
        raise errors.NameRefusedError(_("%(what)s must not contain a key. Never paste it here.") % {"what": what})
    return text


def clean_name(name: str) -> str:
    """
    Return *name* as it is stored.

    Raises:
        NameRefusedError: If it is empty, or for the reasons of ``clean_text``.
    """
    cleaned = clean_text(name, most=MAX_NAME, what=_("The name"))
    if not any(unicodedata.category(letter)[0] in "LNPS" and letter not in _BLANKS for letter in cleaned):
        raise errors.NameRefusedError(_("Give the key a name."))
    return cleaned


def clean_note(note: str) -> str:
    """Return *note* as it is stored; raises as ``clean_text``."""
    return clean_text(note, most=MAX_NOTE, what=_("The note"))


def clean_description(description: str) -> str:
    """Return *description*, of several lines, as it is stored; raises as ``clean_text``."""
    return clean_text(description, most=MAX_DESCRIPTION, what=_("The description"), lines=True)


def clean_networks(lines: Sequence[str]) -> list[str]:
    """
    Return *lines* as networks are stored.

    Raises:
        NetworkSyntaxError: If a line is no address and no network.
        TooManyNetworksError: If there are more than ``MAX_NETWORKS``: each request compares them all.
    """
    if len(lines) > MAX_NETWORKS:
        raise errors.TooManyNetworksError(_("At most %(most)d networks can be listed.") % {"most": MAX_NETWORKS})
    return normalise_networks(lines)


def clean_rates(lines: str | Sequence[str]) -> list[str]:
    """
    Return *lines*, such as ``"600/min"``, as rates are stored: of each window the smallest.

    Raises:
        RateSyntaxError: If a line is no rate; the message names it.
        TooManyLimitsError: If there are more than ``MAX_LIMITS``.
    """
    refusal = _("Line %(line)d: “%(text)s” is not a rate. Write it as 600/min or 20/s.")
    too_many = _("At most %(most)d rates can be listed.")
    return _clean_limits(lines, normalise=normalise_rates, refusal=refusal, too_many=too_many)


def clean_quotas(lines: str | Sequence[str]) -> list[str]:
    """Return *lines*, such as ``"100000/month"``, as quotas are stored; raises as ``clean_rates``."""
    refusal = _("Line %(line)d: “%(text)s” is not a quota. Write it as 100000/month or 5000/day.")
    too_many = _("At most %(most)d quotas can be listed.")
    return _clean_limits(lines, normalise=normalise_quotas, refusal=refusal, too_many=too_many)


def _clean_limits(
    lines: str | Sequence[str], *, normalise: Callable[[Sequence[str]], list[str]], refusal: str, too_many: str
) -> list[str]:
    if isinstance(lines, str):
        lines = lines.splitlines()
    if sum(bool(line.strip()) for line in lines) > MAX_LIMITS:
        raise errors.TooManyLimitsError(too_many % {"most": MAX_LIMITS})
    for number, line in enumerate(lines, start=1):
        try:
            # One by one, because the core does not know which line it is in.
            normalise([line])
        except errors.RateSyntaxError as error:
            text = line.strip()
            raise errors.RateSyntaxError(refusal % {"line": number, "text": text}, text=text) from error
    return normalise(lines)
