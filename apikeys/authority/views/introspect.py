"""Where API servers ask whether a key or token is good."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from ... import guard
from ...core.errors import TooManyHashesError
from ...drf.authentication import APIKeyAuthentication
from ...drf.permissions import HasScopes
from ...drf.refusals import Refused
from ...drf.throttling import KeyRateThrottle
from ..examining import Asker, examine
from ..signing import NoSigningKeyError
from .askers import resource_of
from .form_post import FormPostView, UnavailableError, form_of, required
from .transactions import in_no_transaction

#: The one answer about whatever is not active, for whatever reason.
_INACTIVE = {"active": False}
#: By which an API server says that it refuses addresses by itself.
_ENFORCES = "networks_enforced"
#: How long a key waits for its turn to be hashed. API servers wait two seconds for the answer unless told otherwise,
#: and who leaves without one takes this site for dead.
_PATIENCE_SECONDS = 1.0


# It writes nothing, and slow hashes run in no transaction.
@method_decorator(in_no_transaction, name="dispatch")
class IntrospectView(FormPostView):
    """Introspection of API keys, signed tokens and OAuth tokens (RFC 7662), for clients that are API servers."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("apikeys:introspect")]
    throttle_classes = [KeyRateThrottle]

    @sensitive_variables("form", "text")
    def post(self, request: Request) -> Response:
        """Return what the calling API server may know of ``token``."""
        form = form_of(request._request)
        text = required(form, "token")
        asker = Asker(resource=resource_of(request), enforces_networks=form.get(_ENFORCES) == "true")
        return Response(_told(text, asker=asker, request=request))


@sensitive_variables("text")
def _told(text: str, *, asker: Asker, request: Request) -> dict[str, Any]:
    try:
        with guard.patience(_PATIENCE_SECONDS):
            return examine(text, asker=asker, now=timezone.now()) or _INACTIVE
    except TooManyHashesError as error:
        raise Refused.from_error(error, request=request) from error
    except NoSigningKeyError as error:
        raise UnavailableError(retry_after_seconds=error.retry_after_seconds) from error
