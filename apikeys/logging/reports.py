"""Django's error reports: the debug page, and what ``AdminEmailHandler`` mails."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString
from django.views import debug

from .masking import Masking, mask_keys
from .oauth_secrets import secrets_of
from .texts import mask_text, masking_also

_MAPPINGS = ("request_meta", "settings")


class ExceptionReporter(debug.ExceptionReporter):
    """
    Django's reporter with every key masked: in addresses, variables, source, messages and settings.

    So are the secrets of OAuth in this request and in the variables, which are known by their names: tokens, codes,
    verifiers, client secrets.

    Name it in ``DEFAULT_EXCEPTION_REPORTER``. What Django hides by name stays hidden.
    """

    def get_traceback_data(self) -> dict[str, Any]:
        data = super().get_traceback_data()
        return data | {name: mask_keys(data[name]) for name in _MAPPINGS}

    def get_traceback_frames(self) -> list[Any]:
        frames = super().get_traceback_frames()
        for frame in frames:
            # Before they are printed: long bytes are printed in pieces, of which none looks like a key.
            if "vars" in frame:
                masking = Masking(reads_str=False)
                frame["vars"] = [(name, masking.of(value)) for name, value in frame["vars"]]
        return frames

    def get_traceback_html(self) -> SafeString:
        with masking_also(self._oauth_secrets()):
            return SafeString(mask_text(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        with masking_also(self._oauth_secrets()):
            return SafeString(mask_text(super().get_traceback_text()))

    def _oauth_secrets(self) -> set[str]:
        frames = super().get_traceback_frames()
        return secrets_of(self.request, [pair for frame in frames for pair in frame.get("vars", ())])
