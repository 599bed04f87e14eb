"""What the tests of the pages for people share."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

from django.test import override_settings

from apikeys.conf import settings
from tests.oauth import AUTHORIZE, CALLBACK, browser_of, press

#: S256 of RFC 7636 appendix B.
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
STATE = "xyz-123"


def authorize_url(app, *, scope="todo:read", **changes):
    """Return the address that *app* sends people to; *changes* replace parameters, None leaves one out."""
    parameters = {
        "client_id": app.client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": scope,
        "state": STATE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{AUTHORIZE}?{urlencode({name: value for name, value in parameters.items() if value is not None})}"


def ask(app, person, *, scope="todo:read", headers=None, **changes):
    """Return what *person* gets who follows the app's link."""
    return browser_of(person).get(authorize_url(app, scope=scope, **changes), secure=True, headers=headers)


def answer(app, person, *, scope="todo:read", allow="yes", optional=(), **changes):
    """Return what follows when *person* presses a button of the page."""
    data = {"allow": allow, "optional": list(optional)}
    return press(browser_of(person), authorize_url(app, scope=scope, **changes), data)


def parameters_in(response):
    """Return the parameters of the address that *response* leads to."""
    return {name: values[0] for name, values in parse_qs(urlsplit(response["Location"]).query).items()}


def text_of(response):
    """Return what a reader of the page sees, one space between words."""
    html = re.sub(r"<head>.*?</head>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def declaring(scopes):
    """Have the project declare *scopes* and no others."""
    return override_settings(APIKEYS={**settings.given(), "SCOPES": scopes})
