"""A form as clients post it (RFC 6749 section 3.2). What one that cannot be read is answered with is up to its view."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, QueryDict
from django.views.decorators.debug import sensitive_variables

CONTENT_TYPE = "application/x-www-form-urlencoded"


class FormError(ValueError):
    """A form that can't be read. The text is for the developer: ASCII, without quotes, and nothing of the input."""


@sensitive_variables()
def posted(request: HttpRequest) -> QueryDict:
    """
    Return what *request*, a form, brings.

    Raises:
        FormError: If it is too large or not UTF-8.
    """
    try:
        # Django's own reader, not REST framework's: this one has limits.
        return request.POST
    except (RequestDataTooBig, TooManyFieldsSent) as error:
        raise FormError("The request is too large.") from error
    except BadRequest as error:
        raise FormError("The form is not UTF-8.") from error


@sensitive_variables()
def plain(sent: QueryDict, *, repeatable: Collection[str] = ()) -> QueryDict:
    """
    Return *sent* without the parameters that have no value: they count as left out.

    Raises:
        FormError: If a parameter is repeated that is not among *repeatable*.
    """
    form = QueryDict(mutable=True)
    for name, values in sent.lists():
        if len(values) > 1 and name not in repeatable:
            raise FormError("A parameter is repeated.")
        if given := [value for value in values if value]:
            form.setlist(name, given)
    return form
