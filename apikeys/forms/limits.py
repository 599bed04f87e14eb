"""The form for what a key may use, and what forms say about limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from .. import policy
from ..models import APIKey
from .page_form import PageForm
from .words import LimitsField


class LimitsForm(PageForm):
    """The rates and quotas of a key and its replacements."""

    rates = LimitsField(cleaned_by=policy.clean_rates)
    quotas = LimitsField(cleaned_by=policy.clean_quotas)

    def __init__(self, data: Any = None, *, key: APIKey) -> None:
        super().__init__(data, initial={"rates": key.rates, "quotas": key.quotas})
        label_limits(self)


def label_limits(form: forms.BaseForm) -> None:
    """Give the fields ``rates`` and ``quotas`` of *form* their texts."""
    form.fields["rates"].label = _("Rates")
    form.fields["rates"].help_text = _(
        "How fast: one a line, such as 600/min or 20/s. Leave empty for none besides the site's and the client's."
    )
    form.fields["quotas"].label = _("Quotas")
    form.fields["quotas"].help_text = _(
        "How much by the calendar: one a line, such as 100000/month or 5000/day. Leave empty for none besides those."
    )
