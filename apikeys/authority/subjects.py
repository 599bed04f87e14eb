"""Whom tokens stand for. People and clients are told apart by the beginning, so that none passes for another."""

from __future__ import annotations

from typing import Any

from ..core.principals import CLIENT, PERSON, Principal


def subject_of_person(pk: Any) -> str:
    """Return the ``sub`` of the person with the primary key *pk*."""
    return f"{PERSON}{pk}"


def subject_of(principal: Principal) -> str:
    """Return the ``sub`` of whom *principal* acts for."""
    return subject_of_person(principal.user_pk) if principal.acts_for_user else f"{CLIENT}{principal.client_id}"
