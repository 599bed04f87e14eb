"""Clients, keys, and what happened to them."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..conf import settings
from ..core import keyformat
from ..fields import ClaimsField, WordListField

#: ``last_used_at`` is at most this much behind.
LAST_USED_ACCURACY = timedelta(minutes=1)


def new_client_id() -> str:
    """Return a new public id of a client: 16 base62 characters."""
    return "".join(secrets.choice(keyformat.ALPHABET) for _ in range(16))


class ClientKind(models.TextChoices):
    """Whose app a client is."""

    FIRST_PARTY = "first_party", _("First party")
    THIRD_PARTY = "third_party", _("Third party")


class RevocationReason(models.TextChoices):
    """Why a key was stopped for good."""

    LEAKED = "leaked", _("It leaked or may have leaked")
    UNNEEDED = "unneeded", _("No longer needed")
    REPLACED = "replaced", _("Replaced by another key")
    LEFT = "left", _("Person or partner left")
    OTHER = "other", _("Other")
    #: Set by the app alone, where a new key could not be shown to anybody.
    UNDELIVERED = "undelivered", _("Never delivered")


class EventKind(models.TextChoices):
    """What can happen to a key or a client."""

    ISSUED = "issued", _("Issued")
    ROTATED = "rotated", _("Rotated")
    REVOKED = "revoked", _("Revoked")
    UNDELIVERED = "undelivered", _("Cancelled, never delivered")
    NARROWED = "narrowed", _("Permissions narrowed")
    EDITED = "edited", _("Edited")
    EXPIRED = "expired", _("Ran out")
    USED_AFTER_END = "used_after_end", _("Used after its end")
    SENT_IN_QUERY = "sent_in_query", _("Sent in an address")
    SENT_IN_CLEAR = "sent_in_clear", _("Sent without HTTPS")
    CLIENT_CREATED = "client_created", _("Client created")
    CLIENT_EDITED = "client_edited", _("Client edited")
    CLIENT_DISABLED = "client_disabled", _("Client disabled")
    CLIENT_ENABLED = "client_enabled", _("Client enabled")
    CEILING_SET = "ceiling_set", _("Client's permissions changed")
    LIMITS_CHANGED = "limits_changed", _("Limits changed")
    OVERLAP_STARTED = "overlap_started", _("Overlap started")
    NEW_NETWORK = "new_network", _("Used from a new network")
    GUESSING = "guessing", _("Many unknown keys")
    IDENTIFIED = "identified", _("Identified")
    SIGN_IN_CHANGED = "sign_in_changed", _("Client's sign-in changed")
    SECRET_REPLACED = "secret_replaced", _("Client secret replaced")
    CONSENT_GIVEN = "consent_given", _("Consent given")
    CONSENT_WITHDRAWN = "consent_withdrawn", _("Consent withdrawn")
    OAUTH_REFUSED = "oauth_refused", _("OAuth request refused")
    TOKEN_REPLAYED = "token_replayed", _("Spent token or code used again")
    CLAIMS_SET = "claims_set", _("Claims changed")
    TOKEN_REVOKED = "token_revoked", _("Token revoked")
    SIGNING_KEY_MADE = "signing_key_made", _("Signing key made")


class Client(models.Model):
    """Whoever holds keys: an app, a partner, a service."""

    client_id = models.CharField(_("client id"), max_length=32, unique=True, default=new_client_id, editable=False)
    name = models.CharField(_("name"), max_length=80, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=ClientKind.choices, default=ClientKind.FIRST_PARTY)
    description = models.TextField(_("description"), blank=True)
    contact = models.EmailField(_("contact e-mail"), blank=True)
    owner = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner of record"),
        help_text=_("The person who answers for this client. Disabling that person does not stop the client."),
    )
    allowed_scopes = WordListField(
        _("permissions it may hold"),
        default=list,
        blank=True,
        help_text=_("The ceiling: no key of this client can do more, whatever it was issued with."),
    )
    max_key_lifetime = models.DurationField(_("longest life of a key"), null=True, blank=True)
    allowed_networks = WordListField(_("allowed networks"), null=True, blank=True)
    #: What each family of its keys may use, as ``core.rates`` reads it; it is no pot that they share.
    rates = WordListField(_("rates of each key"), default=list, blank=True)
    quotas = WordListField(_("quotas of each key"), default=list, blank=True)
    #: What its keys say besides scopes; what a key says itself goes before it.
    claims = ClaimsField(_("claims"), default=dict, blank=True)
    audiences = WordListField(
        _("API servers"),
        default=list,
        blank=True,
        help_text=_("The addresses of the API servers that may know its keys and tokens. Empty: this site alone."),
    )
    resource = models.CharField(
        _("address as an API server"),
        max_length=200,
        unique=True,
        null=True,  # NULLs may repeat
        blank=True,
        help_text=_("For a client that is an API server: what other clients name it by."),
    )
    is_active = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("client")
        verbose_name_plural = _("clients")
        default_permissions = ("add", "change", "view")
        permissions: ClassVar = [("set_claims", "Can set claims of clients and API keys")]
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=ClientKind.values), name="apikeys_client_kind_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    """Questions about many keys."""

    def working(self, *, now: datetime | None = None) -> APIKeyQuerySet:
        """Keys that are neither revoked, expired nor rotated out. Their client or owner may be disabled."""
        now = now or timezone.now()
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=now),
            Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now),
            Q(acts_for_user=False) | Q(owner__isnull=False),
            revocation=None,
        )


class APIKey(models.Model):
    """One stored credential of a client. Its secret is not here, only what proofs are checked against."""

    key_id = models.CharField(_("key id"), max_length=keyformat.KEY_ID_LENGTH, unique=True, editable=False)
    mode = models.CharField(_("mode"), max_length=4, choices=[(mode, mode) for mode in keyformat.MODES])
    verifier = models.CharField(max_length=255, editable=False)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="keys", verbose_name=_("client"))
    name = models.CharField(_("name"), max_length=80)
    owner = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name=_("owner"),
    )
    #: Stored at issue: a key that acted for a person who is gone is dead, it never becomes a service key.
    acts_for_user = models.BooleanField(_("acts for a person"))
    scopes = WordListField(_("permissions"), default=list, blank=True)
    allowed_networks = WordListField(_("allowed networks"), null=True, blank=True)
    #: Counted for the whole family.
    rates = WordListField(_("rates"), default=list, blank=True)
    quotas = WordListField(_("quotas"), default=list, blank=True)
    claims = ClaimsField(_("claims"), default=dict, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("issued"), default=timezone.now, db_index=True)
    created_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("issued by"),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    #: When it was written down that the key ran out. It is dead from its end on, recorded or not.
    end_recorded_at = models.DateTimeField(null=True, blank=True, editable=False)
    overlap_ends_at = models.DateTimeField(_("stops after its rotation"), null=True, blank=True, editable=False)
    #: How long it works on after the first use of its replacement, until that is known; ``overlap_ends_at`` is the cap.
    overlap_from_use = models.DurationField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    replaces = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replacement",
        verbose_name=_("replaces"),
        editable=False,
    )
    #: The key id of the first key of the rotation chain.
    family = models.CharField(_("family"), max_length=keyformat.KEY_ID_LENGTH, db_index=True, editable=False)
    #: The one-time id of the form that asked for it, so that a double submit makes one key.
    form_id = models.UUIDField(null=True, blank=True, unique=True, editable=False)

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        default_permissions = ("change", "view")
        permissions: ClassVar = [
            ("issue_apikey", "Can issue API keys for oneself"),
            ("issue_apikey_for_others", "Can issue API keys that act for other people"),
            ("issue_service_apikey", "Can issue API keys that act for nobody"),
            ("rotate_apikey", "Can rotate API keys"),
            ("revoke_apikey", "Can revoke API keys"),
        ]
        ordering: ClassVar = ["-created_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["client", "name"], name="apikeys_key_client_name"),
            models.Index(fields=["end_recorded_at", "expires_at"], name="apikeys_key_expiring"),
            models.Index(fields=["end_recorded_at", "overlap_ends_at"], name="apikeys_key_rotating"),
            models.Index(fields=["overlap_from_use"], name="apikeys_key_from_use"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(mode__in=list(keyformat.MODES)), name="apikeys_key_mode_is_known"),
            models.CheckConstraint(
                condition=Q(acts_for_user=True) | Q(owner__isnull=True), name="apikeys_service_key_has_no_owner"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.masked})"

    @property
    def masked(self) -> str:
        """How the key is written in lists and logs: ``ak_live_4Qm9Zt…``."""
        return keyformat.mask(prefix=settings.PREFIX, mode=self.mode, key_id=self.key_id)

    @property
    def is_orphaned(self) -> bool:
        """Whether the person it acted for is gone, which ends it for good."""
        return self.acts_for_user and self.owner_id is None

    def is_revoked(self) -> bool:
        """Whether somebody revoked it. One query, unless ``revocation`` was joined."""
        return hasattr(self, "revocation")

    def is_expired(self, *, now: datetime) -> bool:
        """Whether *now* is at or past ``expires_at``."""
        return self.expires_at is not None and self.expires_at <= now

    def is_rotated_out(self, *, now: datetime) -> bool:
        """Whether *now* is at or past the end of its overlap."""
        return self.overlap_ends_at is not None and self.overlap_ends_at <= now

    def is_working(self, *, now: datetime) -> bool:
        """Whether it is neither revoked, expired, rotated out nor orphaned."""
        # What may cost a query last.
        return not (self.is_expired(now=now) or self.is_rotated_out(now=now) or self.is_orphaned or self.is_revoked())


class KeyRevocation(models.Model):
    """The end of a key: inserted once, so that no stale save and no check box can undo it."""

    key = models.OneToOneField(APIKey, on_delete=models.PROTECT, primary_key=True, related_name="revocation")
    at = models.DateTimeField(_("revoked"), default=timezone.now)
    by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(_("reason"), max_length=16, choices=RevocationReason.choices)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(reason__in=RevocationReason.values),
                name="apikeys_revocation_reason_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key_id}: {self.reason}"


class KeyEvent(models.Model):
    """What happened to a key or a client, by whom. Append-only."""

    kind = models.CharField(_("event"), max_length=32, choices=EventKind.choices)
    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)
    #: None where it is about no client, such as keys that nobody issued.
    client = models.ForeignKey(
        Client, on_delete=models.PROTECT, null=True, blank=True, related_name="events", verbose_name=_("client")
    )
    key = models.ForeignKey(
        APIKey, on_delete=models.PROTECT, null=True, blank=True, related_name="events", verbose_name=_("key")
    )
    actor = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("who"),
    )
    #: The user name at that time, which outlives the user.
    actor_name = models.CharField(_("who"), max_length=150, blank=True)
    #: The door it came through: ``admin``, ``command``, ``python``, ``request``.
    source = models.CharField(_("from"), max_length=32)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)
    #: What may be written once only, such as one alarm per family and hour.
    once = models.CharField(max_length=96, null=True, blank=True, unique=True, editable=False)  # NULLs may repeat

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        default_permissions = ("view",)
        ordering: ClassVar = ["-at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=EventKind.values), name="apikeys_event_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"


class TagSecret(models.Model):
    """
    What tags keys, so that a forged one costs microseconds. The newest tags, all are accepted.

    It admits and proves nothing: with it and without a verifier's secret no key can be made that works.
    """

    secret = models.BinaryField(max_length=keyformat.TAG_SECRET_BYTES, editable=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("tag secret")
        verbose_name_plural = _("tag secrets")
        default_permissions = ()

    def __str__(self) -> str:
        return f"tag secret of {self.created_at:%Y-%m-%d}"


def user_name_of(user: Any) -> str:
    """Return what *user* is called in events; empty for nobody."""
    return "" if user is None else str(user.get_username())[:150]
