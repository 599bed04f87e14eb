"""The German catalogue, read from its source."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import apikeys

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


def _entry_in(block):
    fields = {name: ast.literal_eval(f"({text})") for name, text in _FIELD.findall(block)}
    return Entry(
        msgid=fields["msgid"],
        plural=fields.get("msgid_plural", ""),
        translations=tuple(text for name, text in fields.items() if name.startswith("msgstr")),
    )
