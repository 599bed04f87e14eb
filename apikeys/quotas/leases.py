"""What this process has leased and not spent yet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError

from .. import counting
from ..conf import settings
from ..core.forks import after_fork
from ..counting import Database
from . import rows
from .rows import Account

logger = logging.getLogger("apikeys.auth")

#: What nobody spent from for so long goes back.
_IDLE_SECONDS = 60.0
#: Who was refused is not looked up again for so long, unless the quota was raised.
_REFUSED_SECONDS = 1.0
#: Families beyond are looked up on each request, rather than that memory grows with what a flood of keys asks for.
_MOST = 10_000


class Lease:
    """
    Units of one account. It is kept and spent from memory; or, where ``is_kept`` is false, it is of one request.

    Its lock is held while the ledger is asked: threads of one family wait for one lease rather than take one each.
    """

    __slots__ = ("_amount", "_lock", "_refused", "_taken", "account", "database", "is_kept", "left", "used_at")

    def __init__(self, account: Account, *, is_kept: bool) -> None:
        self.account = account
        self.is_kept = is_kept
        self.left = 0
        #: Whose ledger all of this is about, whatever a router says to another request, or to a thread without one.
        self.database = rows.database()
        self.used_at = time.monotonic()
        self._lock = threading.Lock()
        #: The quota that ``left`` was leased under.
        self._amount = 0
        #: What the ledger said when it was last asked.
        self._taken: int | None = None
        #: Cost, quota, and until when the answer counts, of who was refused last.
        self._refused: tuple[int, int, float] | None = None

    def spend(self, cost: int, *, amount: int) -> bool:
        """
        Spend *cost*; False where *amount* has not so much left.

        Raises:
            DatabaseError: If the ledger can't be asked.
        """
        with self._lock:
            self.used_at = time.monotonic()
            if amount < self._amount:
                self._lower(amount)
            if self.left < cost and not self._lease(cost, amount=amount):
                return False
            self.left -= cost
            return True

    def is_refusing(self, cost: int, *, amount: int) -> bool:
        """Whether it is known that *amount* has not so much left, because the ledger said so a moment ago."""
        refused = self._refused
        if refused is None or self.left >= cost:
            return False
        refused_cost, refused_amount, until = refused
        return cost >= refused_cost and amount <= refused_amount and time.monotonic() < until

    def put_back(self, cost: int) -> None:
        """
        Undo ``spend``.

        Raises:
            DatabaseError: If the ledger can't be written.
        """
        with self._lock:
            # A process never holds more than what a lease leaves it with, or it would keep others from it.
            most = settings.QUOTA_BLOCK - 1 if self.is_kept else 0
            if self._taken is not None and self._taken > self._amount:
                # The quota was lowered: others may have spent all that it allows, and only the ledger knows.
                most = 0
            self._refused = None
            left = self.left + cost
            self.left = min(left, max(most, self.left))
            excess = left - self.left
            self._taken = None if self._taken is None else self._taken - excess
        if excess:
            rows.give_back(self.account, excess, alias=self.database.alias)

    def remaining(self, *, amount: int) -> int:
        """Return what is left of *amount*, as far as this process knows; it asks the ledger if it never did."""
        with self._lock:
            if self._taken is None:
                taken = rows.taken_of([self.account], alias=self.database.alias)
                self._taken = taken.get(self.account, 0)
            return max(0, amount - self._taken + self.left)

    def close(self) -> int:
        """
        Return how many units are to be given back.

        Who holds this lease already, to spend from it, finds it empty and takes what the request needs.
        """
        with self._lock:
            self.is_kept = False
            left, self.left = self.left, 0
            return left

    def _lower(self, amount: int) -> None:
        # Others may have spent all that the lower quota allows: what is leased under it counts towards it.
        self._amount = amount
        # Before the ledger has it: an answer that gets lost on its way must not count the units twice.
        left, self.left = self.left, 0
        if left:
            rows.give_back(self.account, left, alias=self.database.alias)

    def _lease(self, cost: int, *, amount: int) -> bool:
        if self.is_refusing(cost, amount=amount):
            return False
        most = settings.QUOTA_BLOCK if self.is_kept else 1
        units, self._taken = rows.lease(
            self.account, amount=amount, least=cost - self.left, most=most, alias=self.database.alias
        )
        self._amount = amount
        self.left += units
        if not units:
            self._refused = (cost, amount, time.monotonic() + _REFUSED_SECONDS)
        return bool(units)


_leases: dict[Account, Lease] = {}
_lock = threading.Lock()


def lease_of(account: Account) -> Lease:
    """Return this process's lease of *account*, which may be empty."""
    # Not under a lock of a lease: the end of the process takes those while it holds the one that this may wait for.
    counting.keep_flushing()
    lease = _leases.get(account)
    if lease is not None:
        return lease
    with _lock:
        if len(_leases) >= _MOST and account not in _leases:
            return Lease(account, is_kept=False)
        return _leases.setdefault(account, Lease(account, is_kept=True))


def left_of(account: Account) -> int:
    """Return what this process may still spend of *account* without asking."""
    lease = _leases.get(account)
    return 0 if lease is None else lease.left


def return_idle() -> None:
    """Give back what nobody spent from for a minute."""
    latest = time.monotonic() - _IDLE_SECONDS
    _return([lease for lease in list(_leases.values()) if lease.used_at <= latest])


def return_all() -> None:
    """Give back everything that this process has leased, because it ends."""
    _return(list(_leases.values()))


def _return(due: Sequence[Lease]) -> None:
    # One after the other: what is due in a database that is away must not keep the others' from theirs.
    for database in dict.fromkeys(lease.database for lease in due):
        _return_to(database, [lease for lease in due if lease.database == database])


def _return_to(database: Database, due: Sequence[Lease]) -> None:
    # A test run puts its own database away at its end, and the project's back in its place. What was leased goes with
    # its ledger then: there is nowhere to give it back to, and no row of the project's may have it.
    is_there = rows.is_still_there(database)
    try:
        # Here already: what is taken out of memory while the database is away would be lost for the period.
        if is_there and any(lease.left for lease in due):
            rows.connect(database.alias)
        for lease in due:
            units = lease.close()
            with _lock:
                # Another one by now, where two return at once: what it holds is not given back here.
                if _leases.get(lease.account) is lease:
                    del _leases[lease.account]
            if units and is_there:
                rows.give_back(lease.account, units, alias=database.alias)
    except (DatabaseError, InterfaceError):
        logger.warning("could not give back quotas that nobody spends", exc_info=True)


def _forget_all() -> None:
    # A child must not spend, nor give back, what its parent leased; and a lock may be held by a thread that it has not.
    global _leases, _lock
    _leases, _lock = {}, threading.Lock()


after_fork(_forget_all)
