"""What the authority signs with, and whose tokens may still be on their way."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..conf.authority import SIGNING_ALGORITHMS
from ..models import APIKey


class SigningKey(models.Model):
    """
    One key that tokens are signed with. ``signs_from`` and the keys after it say when it signs; nothing is switched.

    Of the keys whose ``signs_from`` has come, the newest signs.
    """

    #: The thumbprint of its public part (RFC 7638).
    kid = models.CharField(max_length=64, unique=True, editable=False)
    algorithm = models.CharField(_("algorithm"), max_length=8, choices=[(name, name) for name in SIGNING_ALGORITHMS])
    #: JWK, as published (RFC 7517).
    public = models.TextField(editable=False)
    #: The private JWK, encrypted with the first of ``SIGNING_KEY_SECRETS``.
    private = models.TextField(editable=False)
    #: The kid of the key before it, empty for the first: two rotations at once make one.
    follows = models.CharField(max_length=64, unique=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("made"), default=timezone.now, editable=False)
    signs_from = models.DateTimeField(_("signs from"), editable=False)
    #: Of all tokens that it signed. A setting that is lowered later must not take their key away.
    longest_lifetime = models.DurationField(editable=False)

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        default_permissions = ()
        ordering: ClassVar = ["signs_from", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(algorithm__in=SIGNING_ALGORITHMS), name="apikeys_signing_algorithm_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.kid


class OutstandingTokens(models.Model):
    """
    Until when signed tokens of a key may be in use.

    Whether its person is still active is no event of this app, so the revocation list looks at those whose tokens
    have not run out, and at nobody else.
    """

    key = models.OneToOneField(APIKey, on_delete=models.CASCADE, primary_key=True, related_name="+")
    end_at = models.DateTimeField()
    #: Of these tokens. While one is in use, a setting that is lowered must not shorten what API servers are told.
    longest_lifetime = models.DurationField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = [models.Index(fields=["end_at", "longest_lifetime"], name="apikeys_outstanding_tokens")]

    def __str__(self) -> str:
        return f"{self.key_id}: {self.end_at:%Y-%m-%d %H:%M}"
