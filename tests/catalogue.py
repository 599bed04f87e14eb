"""The German catalogue, read from its source."""

from __future__ import annotations

import ast
import html
import re
from dataclasses import dataclass
from pathlib import Path

import apikeys
from apikeys.registry import scope_registry

APP = Path(apikeys.__file__).parent
CATALOGUE = APP / "locale/de/LC_MESSAGES/django.po"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sentence of the catalogue."""

    msgid: str
    plural: str
    translations: tuple[str, ...]


_FIELD = re.compile(r'^(msgid_plural|msgid|msgstr(?:\[\d\])?) ((?:".*"\n?)+)', re.MULTILINE)
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")


def catalogue():
    """Return all sentences. What is obsolete is none."""
    _header, *blocks = source().strip().split("\n\n")
    return [_entry_in(block) for block in blocks if not block.startswith("#~")]


def source():
    """Return the catalogue as it is written."""
    return CATALOGUE.read_text(encoding="utf-8")


def english_parts():
    """Return what can't stand on a German page: whatever is longer than two words between the placeholders."""
    sentences = {text for entry in catalogue() for text in (entry.msgid, entry.plural)}
    parts = {part.strip() for sentence in sentences for part in PLACEHOLDER.split(sentence)}
    return sorted(part for part in parts if part.count(" ") > 1)


def page_text(response):
    """Return the page as text, tags and all, without the commands to paste, which are the same everywhere."""
    return html.unescape(re.sub(r"<pre.*?</pre>", "", response.content.decode(), flags=re.DOTALL))


def english_in(response):
    """
    Return what of the catalogue's English stands on the page: long parts anywhere, short ones by themselves.

    What the project calls its resources is left out: tests declare "Usage", which is a heading of ours as well.
    """
    page = page_text(response)
    own = {str(scope.resource).casefold() for scope in scope_registry().values() if not scope.is_reserved}
    alone = {" ".join(text.split()) for text in re.split(r"<[^>]+>", page)}
    labels = {entry.msgid for entry in catalogue() if (entry.msgid,) != entry.translations}
    return sorted(
        {part for part in english_parts() if part in page}
        | {label for label in labels & alone if label.casefold() not in own}
    )


def _entry_in(block):
    fields = {name: ast.literal_eval(f"({text})") for name, text in _FIELD.findall(block)}
    return Entry(
        msgid=fields["msgid"],
        plural=fields.get("msgid_plural", ""),
        translations=tuple(text for name, text in fields.items() if name.startswith("msgstr")),
    )
