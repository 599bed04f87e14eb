"""
What keys were used for: written from memory, summed by the hour and day, asked for by pages and commands.

Nothing here stands in the way of a request.
"""

from .flushing import by_hand as by_hand
from .flushing import flush as flush
from .flushing import shut_down as shut_down
from .questions import Point as Point
from .questions import Top as Top
from .questions import Totals as Totals
from .questions import counted_until as counted_until
from .questions import is_recorded as is_recorded
from .questions import last_use as last_use
from .questions import last_uses as last_uses
from .questions import refusals as refusals
from .questions import series as series
from .questions import series_of_families as series_of_families
from .questions import top as top
from .questions import totals as totals
from .rollup import RolledUp as RolledUp
from .rollup import rollup as rollup
from .unused import CeilingNeeds as CeilingNeeds
from .unused import KeyNeeds as KeyNeeds
from .unused import ScopeNeed as ScopeNeed
from .unused import unneeded_scopes as unneeded_scopes
from .unused import unused_ceilings as unused_ceilings
from .unused import unused_scopes as unused_scopes
