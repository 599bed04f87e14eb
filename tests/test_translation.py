from __future__ import annotations

import ast
import gettext
import re
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone, translation
from django.utils.translation.template import templatize

from apikeys import clients, keys
from apikeys.authority.views.introspect import IntrospectView
from apikeys.core import errors
from apikeys.core.keyformat import UntaggedKey, generate
from apikeys.drf import HasClaim, HasOwner, HasScopes
from apikeys.drf.refusals import ANSWERS
from apikeys.models import TagSecret
from apikeys.oauth import HasUserConsent, LayeredAuthentication
from apikeys.oauth.testing import make_token
from apikeys.status import permission_sentence, permission_summary, relative
from apikeys.testing import make_key

from .authority_stand_in import Reply
from .catalogue import APP, CATALOGUE, PLACEHOLDER, catalogue, source
from .drf_views import ask, view
from .factories import ClientFactory
from .introspected import Sharing, authority, new_key
from .introspection import FORM
from .limited import Limited, with_settings
from .oauth_views import bearer, token_view

_MARKERS = {"_", "gettext", "gettext_lazy", "ngettext"}
_MARKED_IN_TEMPLATE = re.compile(r"""gettext\((u'(?:[^'\\]|\\.)*'|u"(?:[^"\\]|\\.)*")""")
NOW = "2026-03-20T12:00:00Z"
YESTERDAY = "2026-03-19T12:00:00Z"

Todos = view(permission_classes=[HasScopes("todo:read")])


@pytest.fixture(autouse=True)
def _back_to_english():
    # A request leaves its language behind, for whatever the thread does next.
    with translation.override("en"):
        yield


@pytest.fixture
def german():
    with translation.override("de"):
        yield


def tagged(*, key_id="", mode="live"):
    """Return a text with a right tag that proves nothing."""
    new = generate(prefix="ak", mode=mode)
    body = new.body.replace(new.key_id, key_id or new.key_id)
    secret = bytes(TagSecret.objects.latest("pk").secret)
    return UntaggedKey(key_id=new.key_id, body=body).tagged(secret)


def send_two(send, settings):
    key = make_key()
    return send(Todos, key=key, HTTP_X_API_KEY=key.plaintext)


def send_in_query(send, settings):
    return send(Todos, address=f"/?api_key={make_key().plaintext}")


def send_none(send, settings):
    return send(Todos)


def send_half(send, settings):
    return send(Todos, key=make_key().plaintext[:-1])


def send_unknown(send, settings):
    make_key()
    return send(Todos, key=tagged())


def send_expired(send, settings):
    with time_machine.travel(YESTERDAY, tick=False):
        key = make_key(lifetime=timedelta(days=1))
    return send(Todos, key=key)


def send_revoked(send, settings):
    key = make_key()
    keys.revoke(key.key, reason="leaked")
    return send(Todos, key=key)


def send_rotated(send, settings):
    key = make_key()
    keys.rotate(key.key, overlap=timedelta(0))
    return send(Todos, key=key)


def send_test_key(send, settings):
    make_key()
    return send(Todos, key=tagged(mode="test"))


def send_without_scope(send, settings):
    return send(view(permission_classes=[HasScopes("todo:write")]), key=make_key(scopes=["todo:read"]))


def send_from_elsewhere(send, settings):
    return send(Todos, key=make_key(allowed_networks=["10.0.0.0/8"]))


def send_of_disabled_owner(send, settings):
    key = make_key()
    User.objects.update(is_active=False)
    return send(Todos, key=key)


def send_for_nobody(send, settings):
    return send(view(permission_classes=[HasOwner & HasScopes("todo:read")]), key=make_key(owner=None))


def send_without_claim(send, settings):
    return send(view(permission_classes=[HasScopes("todo:read") & HasClaim("seats")]), key=make_key())


def send_undeclared(send, settings):
    return send(view(), key=make_key())


def send_of_disabled_client(send, settings):
    key = make_key()
    clients.disable(key.key.client)
    return send(Todos, key=key)


def send_from_no_server(send, settings):
    app = ClientFactory(allowed_scopes=["apikeys:introspect"])
    key = make_key(client=app, owner=None, scopes=["apikeys:introspect"])
    return send(IntrospectView, key=key, method="post", content_type=FORM, data="token=x")


def send_in_the_clear(send, settings):
    # A trusted proxy says how the request reached it.
    settings.APIKEYS = {**settings.APIKEYS, "TRUSTED_PROXIES": ["127.0.0.1"]}
    return send(Todos, key=make_key(), HTTP_X_FORWARDED_PROTO="http")


def send_too_often(send, settings):
    settings.APIKEYS = {**settings.APIKEYS, "HASHES_PER_KEY_PER_MINUTE": 1}
    key = make_key()
    send(Todos, key=tagged(key_id=key.key.key_id))
    return send(Todos, key=tagged(key_id=key.key.key_id))


def send_uncounted(send, settings):
    pytest.importorskip("redis")
    # Nobody listens there.
    with_settings(settings, RATES=["2/h"], LIMITS_STORAGE="redis://127.0.0.1:1", LIMITS_FAIL_OPEN=False)
    return send(Limited, key=make_key())


def send_beside_a_silent_authority(send, settings):
    with authority(Reply(status=502)):
        return send(Sharing, key=new_key())


Layered = token_view(authentication_classes=[LayeredAuthentication], permission_classes=[HasUserConsent])


def send_token_in_query(send, settings):
    return send(token_view(), address=f"/?access_token={make_token().plaintext}")


def send_unknown_token(send, settings):
    return send(token_view(), **bearer("unknown"))


def send_expired_token(send, settings):
    with time_machine.travel(YESTERDAY, tick=False):
        made = make_token()
    return send(token_view(), **bearer(made))


def send_key_without_token(send, settings):
    return send(Layered, HTTP_X_API_KEY=make_key().plaintext)


def send_token_without_key(send, settings):
    return send(Layered, **bearer(make_token()))


def send_pair_of_two_clients(send, settings):
    return send(Layered, HTTP_X_API_KEY=make_key(owner=None).plaintext, **bearer(make_token()))


PROVOKED = {
    "invalid_request": send_two,
    "key_in_query": send_in_query,
    "key_missing": send_none,
    "key_malformed": send_half,
    "key_invalid": send_unknown,
    "key_expired": send_expired,
    "key_revoked": send_revoked,
    "key_rotated": send_rotated,
    "token_in_query": send_token_in_query,
    "token_missing": send_key_without_token,
    "token_invalid": send_unknown_token,
    "token_expired": send_expired_token,
    "key_missing_beside_token": send_token_without_key,
    "credentials_differ": send_pair_of_two_clients,
    "wrong_mode": send_test_key,
    "insufficient_scope": send_without_scope,
    "ip_not_allowed": send_from_elsewhere,
    "owner_disabled": send_of_disabled_owner,
    "owner_required": send_for_nobody,
    "claim_missing": send_without_claim,
    "scopes_not_declared": send_undeclared,
    "client_disabled": send_of_disabled_client,
    "resource_required": send_from_no_server,
    "https_required": send_in_the_clear,
    "rate_limited": send_too_often,
    "authority_unavailable": send_beside_a_silent_authority,
    "limits_unavailable": send_uncounted,
}


def provoke(code, settings, *, language):
    with time_machine.travel(NOW, tick=False):
        return PROVOKED[code](partial(ask, HTTP_ACCEPT_LANGUAGE=language), settings)


# Whole transactions: with ATOMIC_REQUESTS a refusal of REST framework's rolls back what a test is in.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", ANSWERS)
def test_language_changes_the_sentence_of_a_refusal_and_nothing_else(code, settings):
    english = provoke(code, settings, language="en")
    german = provoke(code, settings, language="de")

    assert german.json()["code"] == code
    assert german.json()["detail"] != english.json()["detail"]
    assert german.json() | {"detail": ""} == english.json() | {"detail": ""}
    assert german.status_code == english.status_code
    assert german.get("WWW-Authenticate") == english.get("WWW-Authenticate")


@pytest.mark.django_db
@pytest.mark.parametrize("code", ANSWERS)
def test_refusal_says_that_it_varies_with_the_language(code, settings):
    response = provoke(code, settings, language="de")

    assert "Accept-Language" in response["Vary"]
    assert response["Content-Language"] == "de"


@pytest.mark.django_db
def test_header_to_send_is_the_same_in_every_language(settings):
    response = provoke("key_missing", settings, language="de")

    assert "Authorization: Bearer <key>" in response.json()["detail"]


@pytest.mark.django_db
def test_date_in_a_refusal_is_german(settings):
    response = provoke("key_expired", settings, language="de")

    assert "20 März 2026" in response.json()["detail"]


@pytest.mark.django_db
@pytest.mark.usefixtures("german")
def test_refusal_to_issue_is_german():
    with pytest.raises(errors.NoScopesError, match="Wählen Sie mindestens eine Berechtigung"):
        keys.issue(ClientFactory(), name="Nightly export", scopes=[])


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    ("difference", "words"),
    [
        pytest.param(timedelta(days=4), "in 4 Tagen", id="days"),
        pytest.param(timedelta(hours=-1), "vor 1 Stunde", id="one-hour"),
        pytest.param(timedelta(minutes=-12), "vor 12 Minuten", id="minutes"),
        pytest.param(timedelta(0), "gerade eben", id="now"),
    ],
)
def test_time_from_now_is_german(difference, words):
    now = timezone.now()

    assert relative(now + difference, now=now) == words


@pytest.mark.usefixtures("german")
def test_permissions_in_a_list_are_german():
    assert permission_summary(["todo:read", "todo:write"]) == "To-dos: lesen und schreiben"


@pytest.mark.usefixtures("german")
def test_label_that_is_too_short_gets_its_resource_in_german(settings):
    settings.APIKEYS = {"SCOPES": {"todo:read": {"resource": "To-dos", "label": "Read"}}}

    assert permission_sentence(["todo:read"]) == "Dieser Schlüssel erlaubt: To-dos (Read)."


def marked_in_code():
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _MARKERS:
                yield node.args[0].value if isinstance(node.args[0], ast.Constant) else f"no text in {path}"


def marked_in_templates():
    for path in APP.rglob("*.html"):
        for text in _MARKED_IN_TEMPLATE.findall(templatize(path.read_text(encoding="utf-8"))):
            yield ast.literal_eval(text)


@pytest.mark.parametrize("marked", [marked_in_code, marked_in_templates], ids=["code", "templates"])
def test_every_marked_sentence_is_in_the_catalogue(marked):
    sentences = set(marked())

    assert sentences
    assert sentences - {entry.msgid for entry in catalogue()} == set()


def test_every_sentence_of_the_catalogue_is_translated():
    assert [entry.msgid for entry in catalogue() if not all(entry.translations)] == []


def test_every_plural_has_both_forms():
    plurals = [entry for entry in catalogue() if entry.plural]

    assert {len(entry.translations) for entry in plurals} == {2}


def test_nothing_in_the_catalogue_is_fuzzy_or_obsolete():
    assert re.findall(r"^#(?:~|,.*fuzzy).*", source(), re.MULTILINE) == []


def test_translations_have_the_placeholders_of_their_source():
    wrong = [
        text
        for entry in catalogue()
        for text in entry.translations
        if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(entry.plural or entry.msgid))
    ]

    assert wrong == []


def test_compiled_catalogue_says_what_the_source_says():
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    said = [
        tuple(compiled.ngettext(entry.msgid, entry.plural, number) for number in (1, 2))
        if entry.plural
        else (compiled.gettext(entry.msgid),)
        for entry in catalogue()
    ]
    assert said == [entry.translations for entry in catalogue()]
