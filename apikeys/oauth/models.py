"""What ties clients to the toolkit's applications, and what people have consented to."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings as django_settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from oauth2_provider.settings import oauth2_settings

from ..fields import WordListField
from ..models import Client, ClientKind

#: PNG only, as many bytes at most.
MOST_LOGO_BYTES = 64 * 1024


class ClientApplication(models.Model):
    """How one client signs in with OAuth: the toolkit's application, and what people are told of it."""

    client = models.OneToOneField(
        Client, on_delete=models.PROTECT, related_name="client_application", verbose_name=_("client")
    )
    #: Grant type, redirect addresses and hashed secret are there.
    application = models.OneToOneField(
        oauth2_settings.APPLICATION_MODEL,
        on_delete=models.PROTECT,
        related_name="client_application",
        verbose_name=_("application"),
    )
    #: What a request without ``scope`` gets. Empty refuses such a request.
    minimum_scopes = WordListField(_("permissions without asking for any"), default=list, blank=True)
    #: What a person may untick.
    optional_scopes = WordListField(_("permissions that people may leave out"), default=list, blank=True)
    publisher = models.CharField(_("publisher"), max_length=80, blank=True)
    website = models.URLField(_("web page"), blank=True)
    privacy_policy = models.URLField(_("privacy page"), blank=True)
    is_verified = models.BooleanField(_("checked by this site"), default=False)
    #: A PNG, served by us: what is linked elsewhere would tell that site who is about to consent.
    logo = models.BinaryField(null=True, blank=True, max_length=MOST_LOGO_BYTES)
    #: None for an app that keeps no secret, and for one that has none yet.
    secret_set_at = models.DateTimeField(_("client secret set"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("OAuth application")
        verbose_name_plural = _("OAuth applications")
        default_permissions = ("change", "view")

    def __str__(self) -> str:
        return str(self.client)


class Consent(models.Model):
    """
    What a person lets a client do. A token that acts for the person works only while this row is there and not over.

    Withdrawing deletes it: the events keep what was.
    """

    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("person")
    )
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="consents", verbose_name=_("client"))
    scopes = WordListField(_("permissions"), default=list)
    #: When the person was asked last, not when a token was made.
    given_at = models.DateTimeField(_("given"), default=timezone.now)
    #: When it was given first, and has been kept since.
    since = models.DateTimeField(_("since"), default=timezone.now)
    expires_at = models.DateTimeField(_("ends"))
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    #: Given by the site for an app of its own, without a page that asks.
    is_implied = models.BooleanField(_("without asking"), default=False)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "client"], name="apikeys_oauth_one_consent"),
        ]

    def __str__(self) -> str:
        return f"{self.client} for {self.user}"

    def counts_for(self, client: Client) -> bool:
        """Whether *client*, whose consent it is, may rely on it: on one without asking, only an app of the site."""
        return not self.is_implied or client.kind == ClientKind.FIRST_PARTY


class SpentCode(models.Model):
    """An authorization code that was exchanged: whoever brings it again ends what it gave (RFC 6749 section 4.1.2)."""

    #: SHA-256, as the toolkit has it of tokens.
    checksum = models.CharField(max_length=64, unique=True)
    application = models.ForeignKey(oauth2_settings.APPLICATION_MODEL, on_delete=models.CASCADE, related_name="+")
    #: Of the tokens that it gave; None where there was no refresh token.
    token_family = models.UUIDField(null=True)
    access_token_checksum = models.CharField(max_length=64)
    spent_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"code spent {self.spent_at:%Y-%m-%d %H:%M}"
