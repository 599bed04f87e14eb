"""What is compared: a package, and the cases in which it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: What ``Package.fill`` made: values of ``Authorization``, by what they are good for.
Credentials = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One contender: a row of the table, measured in a process of its own."""

    #: Its name in commands and results, such as ``apikeys-forged``.
    name: str
    #: What it is called in the table.
    label: str
    #: Which of the package's credentials it sends, one after the other.
    sends: str
    #: Where forms are posted to; empty for requests without a body. What is sent is then a value of ``Authorization``,
    #: which may be empty, a line break, and the form.
    posts_to: str = ""
    #: The only status that its answers may have.
    expects: int = 200
    #: Whether all that it sends was sent when its rounds begin, or what a round sends, just before that round.
    warm_up: Literal["once", "each round"] = "each round"
    #: Whether it takes part in the rounds.
    is_in_table: bool = True
    #: On top of the package's.
    settings: Mapping[str, Any] = field(default_factory=dict)


class Package(ABC):
    """One way to say who is calling. It adds to a view what its documentation says, and nothing else."""

    #: Names its tables' database; letters and digits.
    name: str
    #: What it is installed as; empty for what comes with Django and REST framework.
    distribution: str = ""
    apps: Sequence[str] = ()
    settings: Mapping[str, Any] = {}
    cases: Sequence[Case]

    @abstractmethod
    def view_attributes(self, case: Case) -> dict[str, Any]:
        """Return the ``authentication_classes`` and ``permission_classes`` of the view. Django is set up."""

    @abstractmethod
    def fill(self, *, rows: int, sent: int) -> Credentials:
        """Make *rows* keys in empty tables, and return the credentials, of which at most *sent* differ."""

    def before_round(self, case: Case, credentials: Sequence[str]) -> None:  # noqa: B027  # most need nothing
        """Do what *case* needs before *credentials* are sent and timed."""

    def count_rows(self) -> int | None:
        """Return how many keys there are; None where a filled database is not worth keeping."""
        return None
