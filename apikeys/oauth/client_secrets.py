"""Whether an app knows its client secret. A wrong one costs a slow hash, of which a network gets few in a minute."""

from __future__ import annotations

from django.contrib.auth.hashers import check_password, identify_hasher
from django.views.decorators.debug import sensitive_variables

from .. import guard, remembered
from ..core.errors import TooManyHashesError
from ..limits import attempts

#: Of one network in a minute; what was found wrong before costs nothing and does not count. From then on, whoever
#: comes from there with a secret that this process has not met waits for the next minute.
WRONG_PER_MINUTE = 30


@sensitive_variables("secret")
def is_right(secret: str, *, stored: str, network: str) -> bool:
    """
    Whether *secret*, which comes from *network*, is the one of which *stored* is the hash.

    One that is kept in clear proves nothing.

    Raises:
        TooManyHashesError: If that needs a slow hash, and there were too many.
    """
    try:
        identify_hasher(stored)
    except ValueError:
        return False
    if not secret:
        return False
    # Django's hashes take a third of a second, and API keys need the same turns. A client that comes again waits for
    # none, whether it is right or configured wrongly.
    pair = remembered.fingerprint(secret, verifier=stored)
    known = remembered.recall(pair)
    if known is not None:
        return known
    name = f"apikeys-client-secret:{network}"
    if attempts.so_far(name) >= WRONG_PER_MINUTE:
        raise TooManyHashesError(retry_after_seconds=attempts.MINUTE_SECONDS)
    with guard.turn():
        matches = check_password(secret, stored)
    remembered.remember(pair, matches=matches)
    if not matches:
        attempts.count(name)
    return matches
