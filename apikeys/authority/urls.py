"""
What other services call. ``path("authority/", include("apikeys.authority.urls"))``, under the path of ``ISSUER``.

No address ends in a slash: clients take them from the metadata or join them to ``ISSUER``, and a redirect would lose a
POST.
"""

from __future__ import annotations

from django.apps import apps
from django.urls import URLPattern, path

from .views.introspect import IntrospectView
from .views.jwks import JWKSView
from .views.metadata import MetadataView
from .views.revocations import RevocationsView
from .views.revoke import RevokeView
from .views.token import TokenView

app_name = "apikeys_authority"

#: For the root of the host, where clients look for the metadata (RFC 8414 section 3). They stand instead of those of
#: ``apikeys.oauth.urls``, so that there is one document for both.
metadata_urlpatterns: list[URLPattern] = [
    path(".well-known/oauth-authorization-server", MetadataView.as_view(), name="authority-metadata"),
    path(
        ".well-known/oauth-authorization-server/<path:issuer_path>",
        MetadataView.as_view(),
        name="authority-metadata-of-path",
    ),
]

urlpatterns = [
    path("introspect", IntrospectView.as_view(), name="introspect"),
    path("revoke", RevokeView.as_view(), name="revoke"),
    path("token", TokenView.as_view(), name="token"),
    path("jwks.json", JWKSView.as_view(), name="jwks"),
    path("revocations", RevocationsView.as_view(), name="revocations"),
]

if apps.is_installed("apikeys.oauth"):
    from ..oauth.urls import metadata_urlpatterns as oauth_metadata_urlpatterns

    # Behind ours, which answer first: what is left of them is the metadata of the API itself (RFC 9728).
    metadata_urlpatterns += oauth_metadata_urlpatterns
