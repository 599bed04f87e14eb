"""Rows, constraints, and questions about themselves. ``keys`` and ``clients`` are the only writers of theirs."""

from .keys import LAST_USED_ACCURACY as LAST_USED_ACCURACY
from .keys import APIKey as APIKey
from .keys import APIKeyQuerySet as APIKeyQuerySet
from .keys import Client as Client
from .keys import ClientKind as ClientKind
from .keys import EventKind as EventKind
from .keys import KeyEvent as KeyEvent
from .keys import KeyRevocation as KeyRevocation
from .keys import RevocationReason as RevocationReason
from .keys import TagSecret as TagSecret
from .keys import new_client_id as new_client_id
from .keys import user_name_of as user_name_of
from .usage import Grain as Grain
from .usage import KeyNetwork as KeyNetwork
from .usage import LastUse as LastUse
from .usage import Level as Level
from .usage import QuotaLedger as QuotaLedger
from .usage import UsageCount as UsageCount
