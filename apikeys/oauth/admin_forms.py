"""The form of a client with how it signs in. It checks; ``clients`` and ``applications`` write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import policy
from ..core import errors
from ..forms.client import ClientForm, fingerprint
from ..forms.page_form import hide_keys
from ..forms.words import LinesField, PolicyCharField
from ..models import Client
from ..registry import declared, unreserved_scopes
from ..status import takes_effect
from .ending import working_tokens
from .logos import clean_logo
from .models import MOST_LOGO_BYTES, ClientApplication
from .sign_in import EDITABLE, MOST_ADDRESS, MOST_PUBLISHER, SIGN_INS, SignIn, fitting, require_may_widen

#: The fields that a client of API keys alone leaves empty.
_BELOW = tuple(name for name in EDITABLE if name != "sign_in")


def link_of(client: Client) -> ClientApplication | None:
    """Return how *client* signs in with OAuth, None where it does not. One query."""
    return ClientApplication.objects.select_related("application", "client").filter(client=client).first()


class LogoField(forms.FileField):
    """A PNG that ``clean_logo`` lets pass, as bytes; None where no file was chosen."""

    widget = forms.FileInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        upload = super().clean(data, None)
        if not isinstance(upload, UploadedFile):
            return None
        try:
            # One byte more than allowed shows that it is too large.
            return clean_logo(upload.read(MOST_LOGO_BYTES + 1))
        except errors.LogoRefusedError as error:
            raise forms.ValidationError(str(error)) from error


class TokensForm(ClientForm):
    """The form of a client, for who may not say how it signs in: it tells of tokens, too."""

    def switch_text(self) -> str:
        if self.instance.pk is None or link_of(self.instance) is None:
            return super().switch_text()
        count = self.instance.keys.working().count()
        keys = ngettext("%(count)d key", "%(count)d keys", count) % {"count": count}
        text = _("Disabling it stops %(keys)s and %(tokens)s. %(takes_effect)s They come back if you enable it again.")
        return text % {"keys": keys, "tokens": self.tokens, "takes_effect": takes_effect()}

    def clean_allowed_scopes(self) -> list[str]:
        chosen = super().clean_allowed_scopes()
        link = None if self.instance.pk is None else link_of(self.instance)
        if link is not None and not set(chosen) <= set(self.instance.allowed_scopes):
            try:
                require_may_widen(SignIn.of(link), by=self.by)
            except errors.SignInRefusedError as error:
                raise forms.ValidationError(str(error)) from error
        return chosen

    @cached_property
    def tokens(self) -> str:
        """How many tokens of the client work, in words."""
        count = working_tokens(self.instance)
        return ngettext("%(count)d token", "%(count)d tokens", count) % {"count": count}


class SignInForm(TokensForm):
    """Everything that a person may set on a client, and how it signs in."""

    sign_in = forms.ChoiceField(required=False, widget=forms.RadioSelect)
    is_public = forms.BooleanField(required=False)
    redirect_uris = LinesField()
    minimum_scopes = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    optional_scopes = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    skips_consent = forms.BooleanField(required=False)
    publisher = PolicyCharField(
        cleaned_by=lambda text: policy.clean_text(text, most=MOST_PUBLISHER, what=_("The publisher")),
        most=MOST_PUBLISHER,
        required=False,
    )
    website = forms.URLField(required=False, assume_scheme="https", max_length=MOST_ADDRESS)
    privacy_policy = forms.URLField(required=False, assume_scheme="https", max_length=MOST_ADDRESS)
    logo = LogoField(required=False)
    drops_logo = forms.BooleanField(required=False)
    is_verified = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        client = options.get("instance")
        self.link = None if client is None or client.pk is None else link_of(client)
        stored = SignIn() if self.link is None else SignIn.of(self.link)
        shown = {name: getattr(stored, name) for name in EDITABLE if name != "logo"}
        options["initial"] = {**shown, **(options.get("initial") or {})}
        self.stored = stored
        super().__init__(*args, **options)
        self._describe()
        scopes = [(scope.name, f"{scope.label} ({scope.name})") for scope in declared(unreserved_scopes())]
        self._choose("sign_in", [("", _("API keys only")), *SIGN_INS.items()])
        self._choose("minimum_scopes", scopes)
        self._choose("optional_scopes", scopes)
        self.fields["logo"].widget.attrs["accept"] = "image/png"
        if stored.logo is None:
            del self.fields["drops_logo"]

    def fingerprint_of(self, client: Client) -> str:
        link = self.link
        return fingerprint(client) if link is None else fingerprint(client, link, link.application)

    def sign_in_values(self) -> dict[str, Any]:
        """Return what was filled in, as ``applications.create`` and ``applications.edit`` take it."""
        values = {name: self.cleaned_data[name] for name in EDITABLE if name != "logo"}
        if self.cleaned_data["logo"] is not None or self.cleaned_data.get("drops_logo"):
            values["logo"] = self.cleaned_data["logo"]
        return values

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            self._check_sign_in()
        if self.errors:
            hide_keys(self)
        return cleaned

    def _check_sign_in(self) -> None:
        values = self.sign_in_values()
        if values["sign_in"]:
            self._check_fit(values)
        elif self.link is not None:
            if not policy.may_revoke(self.by):
                self.add_error("sign_in", _("This withdraws what people consented to, which you may not do."))
        elif any(values.get(name) for name in _BELOW):
            message = _("Choose how it signs in with OAuth, or leave everything below empty.")
            self.add_error("sign_in", message)

    def _check_fit(self, values: dict[str, Any]) -> None:
        kind, ceiling = self.cleaned_data["kind"], self.cleaned_data["allowed_scopes"]
        before = None if self.link is None else self.stored
        try:
            fitting(self.stored.changed(values), before=before, kind=kind, ceiling=ceiling, by=self.by)
        except errors.SignInRefusedError as error:
            self.add_error(error.field, str(error))
        except errors.RedirectRefusedError as error:
            self.add_error("redirect_uris", str(error))
        except errors.ScopeError as error:
            chosen = (name for name in ("minimum_scopes", "optional_scopes") if set(values[name]) & set(error.names))
            is_chosen = isinstance(error, errors.ScopeAboveCeilingError)
            self.add_error(next(chosen, "sign_in") if is_chosen else "sign_in", str(error))

    def _choose(self, name: str, choices: Sequence[tuple[Any, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = choices

    def _describe(self) -> None:
        for name, label, text in (
            ("sign_in", _("How it signs in"), self._sign_in_text()),
            (
                "is_public",
                _("It keeps no secret"),
                _("For an app on people's own devices or in their browser, out of which a secret could be read."),
            ),
            (
                "redirect_uris",
                _("Redirect addresses"),
                _(
                    "For the authorization code: one a line, compared letter by letter. https, or http for 127.0.0.1, "
                    "[::1] and localhost. An address that you take away ends the codes that were for it."
                ),
            ),
            (
                "minimum_scopes",
                _("Permissions without asking for any"),
                _("What a request gets that names no permission. None ticked: such a request is refused."),
            ),
            (
                "optional_scopes",
                _("Permissions that people may leave out"),
                _("People can untick these on the consent page."),
            ),
            (
                "skips_consent",
                _("Skip the consent page"),
                _("Only for a first-party client: it acts for everybody who signs in, without asking."),
            ),
            ("publisher", _("Publisher"), _("Who made the app, as people read it on the consent page.")),
            ("website", _("Web page"), _("Its host is shown on the consent page.")),
            ("privacy_policy", _("Privacy page"), ""),
            ("logo", _("Logo"), self._logo_text()),
            ("drops_logo", _("Remove the logo"), ""),
            (
                "is_verified",
                _("Checked by this site"),
                _("Without it the consent page says that nobody here has checked the app."),
            ),
        ):
            self.fields[name].label = label
            self.fields[name].help_text = text

    def _sign_in_text(self) -> str:
        if self.link is None:
            return _("Beside API keys, which every client may have.")
        count = self.instance.consents.filter(expires_at__gt=timezone.now()).count()
        people = ngettext("%(count)d person", "%(count)d people", count) % {"count": count}
        text = _(
            "Another choice ends %(tokens)s and all codes, for good. “API keys only” also withdraws what %(people)s "
            "consented to."
        )
        return text % {"tokens": self.tokens, "people": people}

    def _logo_text(self) -> str:
        text = _("PNG, at most %(most)d KiB and 512 × 512 pixels.") % {"most": MOST_LOGO_BYTES // 1024}
        if self.stored.logo is None:
            return text
        return _("%(text)s There is one; a new file replaces it.") % {"text": text}
