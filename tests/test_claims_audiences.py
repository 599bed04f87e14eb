from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from apikeys import clients, lookup
from apikeys.conf import settings
from apikeys.core.errors import ClientNameTakenError, ResourceRefusedError, ResourceTakenError
from apikeys.models import Client, KeyEvent
from apikeys.oauth import tokens
from apikeys.oauth.testing import make_token
from apikeys.policy import MAX_RESOURCE
from apikeys.testing import make_key
from tests.factories import ClientFactory

from .claims import stored
from .threads import at_once

pytestmark = pytest.mark.django_db

ISSUER = "https://auth.example.com/authority"
SHARING, SUMMARIES = "https://sharing.example.com", "https://summaries.example.com/api"


@pytest.fixture(autouse=True)
def _issuer():
    with override_settings(APIKEYS={**settings.given(), "ISSUER": ISSUER}):
        yield


@pytest.fixture
def sharing():
    return clients.create(name="Sharing", resource=SHARING)


@pytest.mark.parametrize(
    "address",
    [
        SHARING,
        SUMMARIES,
        "https://[2001:db8::1]:8443/api",
        "http://127.0.0.1:8003",
        "urn:example:sharing",
        "https://a.example/" + "x" * (MAX_RESOURCE - 18),
    ],
    ids=["host", "path", "IPv6", "plain http", "urn", "longest"],
)
def test_a_client_may_be_an_api_server(address):
    assert stored(clients.create(name="Sharing", resource=address)).resource == address


@pytest.mark.parametrize("nothing", [None, "", "  "], ids=["none", "empty", "space"])
def test_a_client_is_no_api_server_by_default(nothing):
    first, second = (clients.create(name=name, resource=nothing) for name in ("One", "Two"))

    assert stored(first).resource is stored(second).resource is None


@pytest.mark.parametrize(
    "address",
    [
        "sharing",
        "/api",
        "//sharing.example.com",
        "https:",
        "https://",
        "https:///api",
        "https://user:word@sharing.example.com",
        "https://sharing.example.com/#part",
        "https://sharing.example.com/?a=b",
        "https://sharing.example.com/a b",
        "https://sharing.example.com/\x01/",
        "https://sharing.example.com\x00",
        'https://sharing.example.com/"',
        "https://sharing.example.com/ü",
        "https://sharing.example.com:port",
        "https://[2001:db8::1",
        "https://a.example/" + "x" * (MAX_RESOURCE - 17),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("field", ["resource", "audiences"])
def test_what_can_name_no_api_server_is_refused(field, address):
    fields: dict[str, Any] = {field: address if field == "resource" else [address]}

    with pytest.raises(ResourceRefusedError) as refused:
        clients.create(name="Sharing", **fields)

    assert refused.value.code == "resource_refused"
    assert not Client.objects.exists()


@pytest.mark.parametrize("fields", [{"resource": ISSUER}, {"audiences": [ISSUER]}], ids=["its own", "among others"])
def test_the_name_of_the_authority_is_no_api_servers(fields):
    with pytest.raises(ResourceRefusedError, match="is this authority itself"):
        clients.create(name="Sharing", **fields)


def test_two_clients_are_not_one_api_server(sharing):
    other = ClientFactory(name="Another")

    with pytest.raises(ResourceTakenError, match=r"^The client “Sharing” is the API server") as refused:
        clients.edit(other, resource=SHARING)
    with pytest.raises(ResourceTakenError):
        clients.create(name="Third", resource=SHARING)

    assert refused.value.code == "resource_taken"


def test_a_name_that_is_taken_is_told_before_an_address(sharing):
    with pytest.raises(ClientNameTakenError):
        clients.create(name="Sharing", resource=SHARING)


def test_a_client_names_its_api_servers_each_once(sharing):
    app = clients.create(name="Web app", audiences=[SHARING, f" {SHARING} ", ""])

    assert stored(app).audiences == [SHARING]


def test_a_client_names_nobody_by_default():
    assert stored(ClientFactory()).audiences == []


@pytest.mark.parametrize(
    "name_it",
    [
        pytest.param(lambda: clients.create(name="Web app", audiences=[SHARING]), id="create"),
        pytest.param(lambda: clients.edit(ClientFactory(), audiences=[SHARING]), id="edit"),
    ],
)
def test_what_no_client_is_can_not_be_named(name_it):
    with pytest.raises(ResourceRefusedError, match=f"^No client is the API server “{SHARING}”") as refused:
        name_it()

    assert refused.value.text == SHARING


def test_what_a_client_is_may_be_named_by_itself(sharing):
    clients.edit(sharing, audiences=[SHARING])

    assert stored(sharing).audiences == [SHARING]


@pytest.mark.parametrize(("count", "fits"), [(50, True), (51, False)], ids=["at the limit", "one more"])
def test_fifty_api_servers_can_be_named(count, fits):
    audiences = [clients.create(name=f"S{number}", resource=f"urn:s:{number}").resource for number in range(count)]

    if fits:
        assert stored(clients.create(name="Web app", audiences=audiences)).audiences == audiences
    else:
        with pytest.raises(ResourceRefusedError, match="At most 50 API servers"):
            clients.create(name="Web app", audiences=audiences)


@pytest.mark.parametrize("new", [None, SUMMARIES], ids=["removed", "changed"])
def test_an_address_that_others_name_stays(sharing, new):
    clients.create(name="Web app", audiences=[SHARING])

    with pytest.raises(ResourceRefusedError, match=r"Other clients name .*: Web app"):
        clients.edit(sharing, resource=new)

    assert stored(sharing).resource == SHARING


def test_an_address_that_only_its_client_names_may_go(sharing):
    clients.edit(sharing, audiences=[SHARING])

    clients.edit(sharing, resource=None, audiences=[])

    assert stored(sharing).resource is None


@pytest.mark.parametrize("new", [None, SUMMARIES], ids=["removed", "changed"])
@pytest.mark.parametrize("named", ["before", "at once"])
def test_an_address_by_which_its_client_names_itself_stays(sharing, new, named):
    fields: dict[str, Any] = {"resource": new}
    if named == "before":
        clients.edit(sharing, audiences=[SHARING])
    else:
        fields["audiences"] = [SHARING]

    # Whoever takes the address next would be told of this client's keys.
    with pytest.raises(ResourceRefusedError, match=f"^No client is the API server “{SHARING}”"):
        clients.edit(sharing, **fields)

    assert stored(sharing).resource == SHARING


def test_a_client_may_name_itself_by_the_address_that_it_takes(sharing):
    clients.edit(sharing, resource=SUMMARIES, audiences=[SUMMARIES])

    assert (stored(sharing).resource, stored(sharing).audiences) == (SUMMARIES, [SUMMARIES])


def test_an_address_may_go_where_others_name_a_longer_one(sharing):
    clients.create(name="Deep", resource=f"{SHARING}/deep")
    clients.create(name="Web app", audiences=[f"{SHARING}/deep"])

    clients.edit(sharing, resource=SUMMARIES)

    assert stored(sharing).resource == SUMMARIES


def test_the_event_says_who_was_told_before_and_who_is_now(sharing):
    clients.create(name="Summaries", resource=SUMMARIES)
    app = clients.create(name="Web app", audiences=[SHARING])

    clients.edit(app, name="Web", audiences=[SUMMARIES])

    assert KeyEvent.objects.filter(kind="client_edited").latest("pk").details == {
        "changed": ["name", "audiences"],
        "audiences": [SUMMARIES],
        "old_audiences": [SHARING],
    }


def test_the_look_up_of_a_key_tells_who_may_know_it(sharing):
    issued = make_key(claims={}, client=clients.create(name="Web", allowed_scopes="todo:read", audiences=[SHARING]))

    found = lookup.find(issued.key.key_id, alias=lookup.database())

    assert found is not None
    assert found.client_audiences == (SHARING,)


def test_the_look_up_of_a_token_tells_who_may_know_it(sharing):
    made = make_token(scopes=["todo:read"])
    clients.edit(made.client, audiences=[SHARING])

    found = tokens.find(made.plaintext, alias=tokens.database())

    assert found is not None
    assert found.client_audiences == (SHARING,)


@pytest.mark.django_db(transaction=True)
def test_an_address_is_not_taken_away_while_somebody_names_it(sharing):
    app = ClientFactory(name="Web app")

    done = at_once(
        lambda: _is_done(lambda: clients.edit(app, audiences=[SHARING])),
        lambda: _is_done(lambda: clients.edit(sharing, resource=None)),
    )

    assert sorted(done) == [False, True]
    assert (stored(app).audiences == [SHARING]) is (stored(sharing).resource == SHARING)


def _is_done(change):
    try:
        change()
    except ResourceRefusedError:
        return False
    return True
