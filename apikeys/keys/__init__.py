"""
Issue, rotate, revoke, narrow, edit, limit, expire, identify, set claims: the only writer of keys.

Each change is one transaction with its event; its signal follows the commit. ``by`` is the acting person, whose
rights are checked; None is trusted code. ``source`` is the door: ``admin``, ``command``, ``python``.
"""

from ..issuance import IssuedKey as IssuedKey
from ..policy import FIRST_USE_OVERLAP as FIRST_USE_OVERLAP
from ..policy import FROM_FIRST_USE as FROM_FIRST_USE
from .changing import edit as edit
from .changing import narrow as narrow
from .claiming import set_claims as set_claims
from .expiring import count_due_to_expire as count_due_to_expire
from .expiring import due_to_expire as due_to_expire
from .expiring import expire as expire
from .expiring import expire_many as expire_many
from .identifying import Identification as Identification
from .identifying import IdentifiedKey as IdentifiedKey
from .identifying import identify as identify
from .issuing import issue as issue
from .issuing import rotate as rotate
from .issuing import withdraw_undelivered as withdraw_undelivered
from .limiting import set_limits as set_limits
from .overlapping import start_overlap as start_overlap
from .overlapping import start_overlaps as start_overlaps
from .revoking import RevokedKeys as RevokedKeys
from .revoking import revoke as revoke
from .revoking import revoke_many as revoke_many
from .upkeep import record_use as record_use
from .upkeep import rehash as rehash
