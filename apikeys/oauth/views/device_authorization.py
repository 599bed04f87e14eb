"""Where a device asks for a code that its person can type in."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from oauth2_provider.models import AbstractApplication
from oauthlib.oauth2 import DeviceApplicationServer
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from ... import request_parts
from ...core.networks import network_around
from ...limits import attempts
from .. import devices, rows
from .protocol import ProtocolView, basic_credentials, busy, refusal

#: Of one network for one client that keeps no secret: whoever knows its id may ask, and each answer is a row.
STARTS_PER_MINUTE = 60
_IPV6_BITS = 64


class DeviceServer(DeviceApplicationServer):  # type: ignore[misc]  # oauthlib ships no types
    """oauthlib's endpoint for clients that may use the device grant, and for those only."""

    def __init__(self, request_validator: Any, **kwargs: Any) -> None:
        kwargs |= {"user_code_generator": devices.new_user_code, "verification_uri_complete": None}
        super().__init__(request_validator, **kwargs)
        self.device_code_grant = _DeviceGrant(request_validator)


class _DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]  # likewise
    def validate_device_authorization_request(self, request: Any) -> None:
        if not request.client_id and self.request_validator.authenticate_client(request):
            request.client_id = request.client.client_id  # HTTP Basic names it
        try:
            super().validate_device_authorization_request(request)
        except errors.InvalidClientIdError as error:
            raise errors.InvalidClientError(request=request) from error

    def validate_client_authentication(self, request: Any) -> None:
        # What a token request for this client would have to pass.
        request.grant_type = devices.GRANT_TYPE
        super().validate_client_authentication(request)
        self.validate_grant_type(request)


class DeviceAuthorizationView(ProtocolView):
    """Device code, user code and the address to type it in (RFC 8628 section 3.2)."""

    server_class = DeviceServer

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _headers, answer, status = self.create_device_authorization_response(request)
        if status != HTTPStatus.OK:
            return HttpResponse(answer, status=status, content_type="application/json")
        basic = basic_credentials(request)
        client_id = basic[0] if basic else request.POST["client_id"]
        if not _keeps_secret(client_id) and _starts(request, client_id=client_id) > STARTS_PER_MINUTE:
            return busy(retry_after_seconds=attempts.MINUTE_SECONDS)
        # The toolkit's row has no place for it: dropped, a token that was asked for one API would open them all.
        if any(request.POST.getlist("resource")):
            return refusal("invalid_target", description="Name the resource where you ask for the token.")
        now = timezone.now()
        devices.keep(
            client_id=client_id,
            device_code=answer["device_code"],
            user_code=answer["user_code"],
            scopes=answer["scope"].split(),
            interval=answer["interval"],
            expires_at=now + timedelta(seconds=answer["expires_in"]),
            now=now,
        )
        address = request.build_absolute_uri(reverse("oauth2_provider:device"))
        user_code = devices.shown(answer["user_code"])
        return JsonResponse(
            {
                "device_code": answer["device_code"],
                "user_code": user_code,
                "verification_uri": address,
                "verification_uri_complete": f"{address}?{urlencode({'user_code': user_code})}",
                "expires_in": answer["expires_in"],
                "interval": answer["interval"],
            }
        )


def _keeps_secret(client_id: str) -> bool:
    """Whether the app *client_id*, which got this far, had to prove a secret: of any other, a secret is noise."""
    confidential = AbstractApplication.CLIENT_CONFIDENTIAL
    return rows.links().filter(application__client_id=client_id, application__client_type=confidential).exists()


def _starts(request: HttpRequest, *, client_id: str) -> int:
    """Return how often the network of *request* has asked for *client_id* in this minute."""
    network = network_around(request_parts.read(request).address, ipv6_bits=_IPV6_BITS)
    return attempts.count(f"apikeys-device-start:{client_id}:{network}")
