"""
Quotas of calendar days and months, counted in the database.

A process leases a block of a quota with one conditional UPDATE and spends it from memory: what all processes together
admit is never more than the quota. What a process leased and did not spend goes back when it is idle or ends.
"""

from .balances import Balance as Balance
from .balances import standing_of as standing_of
from .balances import standings_of as standings_of
from .leases import return_all as return_all
from .leases import return_idle as return_idle
from .rows import delete_before as delete_before
from .spending import give_back as give_back
from .spending import take as take
