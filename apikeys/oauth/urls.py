"""
OAuth: what clients call, and what people see. ``path("oauth/", include("apikeys.oauth.urls"))``.

It stands instead of ``oauth2_provider.urls`` and under its name, so that the toolkit finds its own addresses. What is
left out there: registering applications, introspection by GET, and OpenID Connect.
"""

from __future__ import annotations

from django.urls import path
from oauth2_provider import urls as toolkit_urls

from .metadata import ServerMetadataView
from .views.authorize import AuthorizationView
from .views.connected import ConnectedAppsView, WithdrawView
from .views.device import DeviceCodeView, DeviceConsentView, DeviceDoneView
from .views.device_authorization import DeviceAuthorizationView
from .views.logo import logo
from .views.switch import switch_account
from .views.token import RevokeTokenView, TokenView

app_name = "oauth2_provider"

#: For the root of the host as well, where clients look for the metadata (RFC 8414 section 3).
metadata_urlpatterns = [
    path(".well-known/oauth-authorization-server", ServerMetadataView.as_view(), name="oauth-server-metadata"),
    path(
        ".well-known/oauth-authorization-server/<path:issuer_path>",
        ServerMetadataView.as_view(),
        name="oauth-server-metadata-issuer",
    ),
    # That of the API itself (RFC 9728).
    *(pattern for pattern in toolkit_urls.metadata_urlpatterns if pattern.name.startswith("oauth-resource-metadata")),
]

protocol_urlpatterns = [
    path("token/", TokenView.as_view(), name="token"),
    path("revoke_token/", RevokeTokenView.as_view(), name="revoke-token"),
    path("device-authorization/", DeviceAuthorizationView.as_view(), name="device-authorization"),
]

people_urlpatterns = [
    path("authorize/", AuthorizationView.as_view(), name="authorize"),
    path("device/", DeviceCodeView.as_view(), name="device"),
    path("device-confirm/<int:pk>/", DeviceConsentView.as_view(), name="device-confirm"),
    path("device-done/<slug:outcome>/", DeviceDoneView.as_view(), name="device-done"),
    path("connected-apps/", ConnectedAppsView.as_view(), name="connected-apps"),
    path("connected-apps/<slug:client_id>/withdraw/", WithdrawView.as_view(), name="withdraw"),
    path("switch-account/", switch_account, name="switch-account"),
    path("logo/<slug:client_id>/", logo, name="logo"),
]

urlpatterns = [*metadata_urlpatterns, *protocol_urlpatterns, *people_urlpatterns]
