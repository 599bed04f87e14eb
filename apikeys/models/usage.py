"""
What keys were used for, and how much of their quotas is spent.

No row here refers to a key by foreign key: counts are written from memory, after requests, by threads of their own, and
must neither wait for a key's row nor fail because it is not committed yet.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..core import keyformat


class Level(models.TextChoices):
    """What a count is of."""

    #: Requests with a verified key, with all that is known of them.
    REQUEST = "request", "request"
    #: Credentials that were refused; ``outcome`` holds the code.
    REFUSAL = "refusal", "refusal"
    #: Sums of the two, for pages: of a key, of a client, of all.
    KEY = "key", "key"
    CLIENT = "client", "client"
    ALL = "all", "all"


class Grain(models.IntegerChoices):
    """How long the bucket of a count is."""

    #: As a process wrote it: the hour of a request, the minute of a refusal.
    RAW = 0, "raw"
    HOUR = 1, "hour"
    DAY = 2, "day"


class UsageCount(models.Model):
    """
    So many requests of one kind in one bucket. Rows are added and rolled up, never changed.

    What is not known, or summed over, is empty. Several rows may say the same: their sum counts.
    """

    level = models.CharField(max_length=8, choices=Level.choices)
    grain = models.PositiveSmallIntegerField(choices=Grain.choices)
    #: When the minute, hour or day began; hours and days in the project's time zone.
    bucket = models.DateTimeField()
    family = models.CharField(max_length=keyformat.KEY_ID_LENGTH, blank=True)
    key_id = models.CharField(max_length=keyformat.KEY_ID_LENGTH, blank=True)
    #: The public id of the client.
    client_id = models.CharField(max_length=32, blank=True)
    #: The name of the URL pattern with its namespace, or the pattern.
    route = models.CharField(max_length=200, blank=True)
    method = models.CharField(max_length=10, blank=True)
    #: ``ok``, ``limited``, ``scope_missing``, a status such as ``404``, ``5xx``; of refusals the code.
    outcome = models.CharField(max_length=32)
    #: The scopes that were needed, in order, with spaces between them.
    scopes = models.CharField(max_length=500, blank=True)
    #: IPv4 /24, IPv6 /48 of requests and /64 of refusals; ``other`` beyond what is counted apart.
    network = models.CharField(max_length=49, blank=True)
    count = models.PositiveBigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        default_permissions = ("view",)
        indexes: ClassVar = [
            models.Index(fields=["level", "grain", "bucket"], name="apikeys_usage_level"),
            models.Index(fields=["family", "level", "grain", "bucket"], name="apikeys_usage_family"),
            models.Index(fields=["client_id", "level", "grain", "bucket"], name="apikeys_usage_client"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} in {self.bucket:%Y-%m-%d %H:%M}"


class LastUse(models.Model):
    """When, from where and for what a key was last used. Written in batches, never backwards."""

    key_id = models.CharField(max_length=keyformat.KEY_ID_LENGTH, primary_key=True)
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    route = models.CharField(max_length=200, blank=True)
    method = models.CharField(max_length=10, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key_id} at {self.at:%Y-%m-%d %H:%M}"


class KeyNetwork(models.Model):
    """A network that a family was used from: IPv4 /24, IPv6 /48. A bounded number of each family."""

    family = models.CharField(max_length=keyformat.KEY_ID_LENGTH)
    network = models.CharField(max_length=49)
    first_seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["family", "network"], name="apikeys_network_of_family_once"),
        ]

    def __str__(self) -> str:
        return f"{self.family} from {self.network}"


class QuotaLedger(models.Model):
    """How much of a quota is taken: spent, or leased to a process that will spend it or give it back."""

    #: The key id of the first key of the rotation chain, or what counts for other credentials: ``client:<client_id>``.
    family = models.CharField(max_length=40)
    period = models.CharField(max_length=8)
    #: When the day or month began, in the project's time zone.
    starts_at = models.DateTimeField()
    taken = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["family", "period", "starts_at"], name="apikeys_ledger_of_period_once"),
        ]

    def __str__(self) -> str:
        return f"{self.taken} of {self.family} in the {self.period} of {self.starts_at:%Y-%m-%d}"
