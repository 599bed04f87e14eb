from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from apikeys import clients, keys
from apikeys.testing import ApiKeyClient, make_key

URLS = "tests.request_path_urls"
AT_ONCE = timedelta(0)
BOUND = timedelta(seconds=0.5)


def deactivate(person):
    get_user_model().objects.filter(pk=person.pk).update(is_active=False)


CHANGES = [
    pytest.param(lambda key: keys.revoke(key, reason="leaked"), "401 key_revoked", id="revoked"),
    pytest.param(lambda key: clients.disable(key.client), "403 client_disabled", id="client disabled"),
    pytest.param(lambda key: keys.narrow(key, scopes="usage:read"), "403 insufficient_scope", id="scope removed"),
    pytest.param(
        lambda key: clients.set_ceiling(key.client, scopes="usage:read"), "403 insufficient_scope", id="ceiling lowered"
    ),
]
DEACTIVATED = pytest.param(lambda key: deactivate(key.owner), "403 owner_disabled", id="owner deactivated")
#: Two processes of xdist would start eight each.
TOGETHER = pytest.mark.xdist_group("eight processes")
BOUNDS = pytest.mark.parametrize("bound", [AT_ONCE, BOUND], ids=["default settings", "MAX_STALENESS"])


@pytest.fixture
def hammered(eight_processes, settings):
    """Let eight processes ask for what needs ``todo:read``."""

    def hammer(issued, *, max_staleness):
        given = {**settings.APIKEYS, "MAX_STALENESS": max_staleness}
        return eight_processes.hammering("/reads/", issued, settings={"ROOT_URLCONF": URLS, "APIKEYS": given})

    return hammer


@TOGETHER
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@BOUNDS
@pytest.mark.parametrize(("change", "answer"), [*CHANGES, DEACTIVATED])
def test_no_process_admits_a_key_longer_than_promised_after_a_change(hammered, change, answer, bound):
    issued = make_key()

    with hammered(issued, max_staleness=bound) as proof:
        change(issued.key)
        figures = proof.assert_refused(within=bound)

    assert set(figures.answers) == {answer}


@TOGETHER
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@BOUNDS
def test_no_process_admits_a_rotated_key_after_its_end(hammered, bound):
    issued = make_key()

    with hammered(issued, max_staleness=bound) as proof:
        keys.rotate(issued.key, overlap=timedelta(seconds=1))
        figures = proof.assert_refused(since=issued.key.overlap_ends_at)

    assert set(figures.answers) == {"401 key_rotated"}


@TOGETHER
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_process_that_may_be_stale_is_seen_to_be(hammered):
    issued = make_key()

    with hammered(issued, max_staleness=timedelta(seconds=10)) as proof:
        keys.revoke(issued.key, reason="leaked")
        with pytest.raises(AssertionError, match="too late"):
            proof.assert_refused()


@pytest.mark.django_db
@pytest.mark.urls(URLS)
@pytest.mark.parametrize(("change", "answer"), CHANGES)
def test_process_that_makes_the_change_feels_it_at_once_whatever_the_bound(
    settings, django_capture_on_commit_callbacks, change, answer
):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(seconds=10)}
    issued = make_key()
    before = ApiKeyClient(issued).get("/reads/")

    with django_capture_on_commit_callbacks(execute=True):
        change(issued.key)
    after = ApiKeyClient(issued).get("/reads/")

    assert before.status_code == 200
    assert f"{after.status_code} {after.json()['code']}" == answer
