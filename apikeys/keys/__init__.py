"""
Issue, rotate, revoke, narrow, edit, expire: the only writer of keys.

Each change is one transaction with its event; its signal follows the commit. ``by`` is the acting person, whose
rights are checked; None is trusted code. ``source`` is the door: ``admin``, ``command``, ``python``.
"""

from ..issuance import IssuedKey as IssuedKey
from .changing import edit as edit
from .changing import narrow as narrow
from .expiring import count_due_to_expire as count_due_to_expire
from .expiring import due_to_expire as due_to_expire
from .expiring import expire as expire
from .expiring import expire_many as expire_many
from .issuing import issue as issue
from .issuing import rotate as rotate
from .issuing import withdraw_undelivered as withdraw_undelivered
from .revoking import RevokedKeys as RevokedKeys
from .revoking import revoke as revoke
from .revoking import revoke_many as revoke_many
from .upkeep import record_use as record_use
from .upkeep import rehash as rehash
