"""What may be said of clients and keys, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from ..conf import settings
from ..core import errors, keyformat
from ..core.claims import MOST_BYTES, Claim, size_of
from ..registry import declared_claims

_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


def may_set_claims(by: Any) -> bool:
    """Whether *by* may say what clients and keys are; None is trusted code."""
    return by is None or bool(by.has_perm("apikeys.set_claims"))


def clean_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *claims* as they are stored.

    Raises:
        ClaimRefusedError: If one is not declared or not as its declaration wants it, if one holds a key, or if all
            together are more than ``MOST_BYTES``.
    """
    declared = declared_claims()
    for name, value in claims.items():
        if name not in declared:
            message = _("There is no claim “%(name)s”. Declared are: %(names)s.")
            names = ", ".join(declared) or _("none")
            raise errors.ClaimRefusedError(message % {"name": name, "names": names}, name=str(name))
        if not declared[name].takes(value):
            raise errors.ClaimRefusedError(expectation(declared[name]), name=name)
        if keyformat.key_pattern(settings.PREFIX).search(str(value)):
            message = _("A claim must not contain a key. Never paste it here.")
            raise errors.ClaimRefusedError(message, name=name)
    # As JSON gives it back, so that nothing seems to have changed where nothing did.
    cleaned = {name: list(value) if isinstance(value, tuple) else value for name, value in claims.items()}
    if size_of(cleaned) > MOST_BYTES:
        message = _("Claims may have at most %(most)d bytes together.") % {"most": MOST_BYTES}
        raise errors.ClaimRefusedError(message)
    return cleaned


def expectation(claim: Claim) -> str:
    """Return the sentence that says what *claim* may be."""
    if claim.choices and claim.kind == "texts":
        text = _("“%(name)s” must be some of: %(choices)s.")
    elif claim.choices:
        text = _("“%(name)s” must be one of: %(choices)s.")
    else:
        text = {
            "text": _("“%(name)s” must be text on one line."),
            "integer": _("“%(name)s” must be a whole number."),
            "number": _("“%(name)s” must be a number."),
            "boolean": _("“%(name)s” must be true or false."),
            "texts": _("“%(name)s” must be a list of different texts, each on one line."),
        }[claim.kind]
    return text % {"name": claim.name, "choices": ", ".join(map(str, claim.choices))}


def claims_from_texts(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """
    Return claims by name from *pairs* of name and text, as a command line has them; a list has several pairs.

    Raises:
        ClaimRefusedError: If a text can't be read as its claim, or a claim that is no list is given twice.
    """
    declared, found = declared_claims(), dict[str, Any]()
    for name, text in pairs:
        claim = declared.get(name)
        if claim is not None and claim.kind == "texts":
            found.setdefault(name, []).append(text)
        elif name in found:
            raise errors.ClaimRefusedError(_("“%(name)s” is given twice.") % {"name": name}, name=name)
        else:
            found[name] = text if claim is None else _read(claim, text)
    return clean_claims(found)


def _read(claim: Claim, text: str) -> Any:
    try:
        if claim.kind == "integer":
            return int(text)
        if claim.kind == "number":
            return whole_or_not(float(text))
    except ValueError:
        return None  # which no claim can be
    if claim.kind == "boolean":
        word = text.lower()
        return True if word in _YES else False if word in _NO else None
    return text


def whole_or_not(number: float) -> float:
    """Return *number*, as an int where it is whole."""
    return int(number) if number.is_integer() else number
