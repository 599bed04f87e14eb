"""Where API servers ask which signed tokens must not count any longer."""

from __future__ import annotations

import logging
import re

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from ...drf.authentication import APIKeyAuthentication
from ...drf.permissions import HasScopes
from ...drf.throttling import KeyRateThrottle
from ...logging import complaints
from ...signed.revocations import MOST_CHARACTERS, sign_list
from .. import revocation_list
from ..signing import NoSigningKeyError, signing_key
from .askers import resource_of
from .form_post import UnavailableError, UnreadableFormError
from .one_type import OneType

_CONTENT_TYPE = "application/jwt"
#: What a database numbers its rows with.
_SEQUENCE = re.compile(r"[0-9]{1,18}")
#: By this much an answer may be older than the state, beside the interval in which a server asks.
_MAX_AGE_SECONDS = 1


class RevocationsView(APIView):
    """The signed list of what became true after ``since``, for clients that are API servers."""

    http_method_names = ["get", "head"]
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("apikeys:introspect")]
    throttle_classes = [KeyRateThrottle]
    content_negotiation_class = OneType
    parser_classes = []
    renderer_classes = [JSONRenderer]
    #: Of no API that a project publishes a schema of, or has versions of.
    schema = None
    versioning_class = None

    def get(self, request: Request) -> HttpResponse:
        """Return the list for the calling API server, signed as its tokens are."""
        since = _since_of(request)
        resource = resource_of(request)
        now = timezone.now()
        listed = revocation_list.build(audience=resource, since=since, now=now)
        try:
            key = signing_key(now=now)
        except NoSigningKeyError as error:
            raise UnavailableError(retry_after_seconds=error.retry_after_seconds) from error
        text = sign_list(listed, key=key)
        if len(text) > MOST_CHARACTERS:
            # Answered all the same: it is refused there as a whole, and said so.
            complaints.tell(
                "The revocation list for %s has %d characters, and API servers read no more than %d: what was revoked "
                "counts there until its tokens end. All end at once with the key that signs them: withdraw it with "
                "manage.py rotate_signing_key --compromised.",
                resource,
                len(text),
                MOST_CHARACTERS,
                reason="revocations_too_long",
                level=logging.ERROR,
            )
        response = HttpResponse(text, content_type=_CONTENT_TYPE)
        response["Cache-Control"] = f"private, max-age={_MAX_AGE_SECONDS}"
        return response


def _since_of(request: Request) -> int:
    given = request.query_params.getlist("since") or ["0"]
    if len(given) > 1 or _SEQUENCE.fullmatch(given[0]) is None:
        raise UnreadableFormError("since must be a whole number, once.")
    return int(given[0])
