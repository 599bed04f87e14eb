from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys import keys, signals
from apikeys.core import errors
from apikeys.models import KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)


def code(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").json()["code"]


def kinds(key):
    return [event.kind for event in KeyEvent.objects.filter(key=key).order_by("pk")]


def test_a_narrowed_key_loses_a_scope_on_the_next_request():
    issued = make_key(scopes=["todo:read", "todo:write"])

    keys.narrow(issued.key, scopes=["todo:read"])

    assert ApiKeyClient(issued).get("/apikeys/whoami/").json()["scopes"] == ["todo:read"]
    event = KeyEvent.objects.get(key=issued.key, kind="narrowed")
    assert event.details == {"removed": ["todo:write"]}


def test_a_key_can_not_be_widened():
    key = make_key(scopes=["todo:read"]).key

    with pytest.raises(errors.ScopeNotHeldError, match="todo:write"):
        keys.narrow(key, scopes=["todo:read", "todo:write"])

    key.refresh_from_db()
    assert key.scopes == ["todo:read"]


def test_a_key_can_not_be_narrowed_to_nothing():
    with pytest.raises(errors.NoScopesError):
        keys.narrow(make_key().key, scopes=[])


def test_narrowing_to_the_same_scopes_leaves_no_event():
    key = make_key(scopes=["todo:read"]).key

    keys.narrow(key, scopes=["todo:read"])

    assert kinds(key) == ["issued"]


def test_nobody_narrows_or_edits_without_the_right():
    key = make_key().key

    with pytest.raises(errors.NotPermittedError):
        keys.narrow(key, scopes=["todo:read"], by=UserFactory())
    with pytest.raises(errors.NotPermittedError):
        keys.edit(key, name="Mine", note="", by=UserFactory())


def test_an_edited_key_has_the_new_name_and_note():
    key = make_key(name="Export").key

    keys.edit(key, name="Import", note="moved")

    key.refresh_from_db()
    assert (key.name, key.note) == ("Import", "moved")
    assert KeyEvent.objects.get(key=key, kind="edited").details["changed"] == ["name", "note"]


def test_editing_to_what_it_is_leaves_no_event():
    key = make_key(name="Export", note="here").key

    keys.edit(key, name="Export", note="here")

    assert kinds(key) == ["issued"]


def test_an_edited_name_may_not_be_that_of_another_family():
    client = ClientFactory()
    make_key(client=client, name="Export")
    other = make_key(client=client, name="Import").key

    with pytest.raises(errors.DuplicateNameError):
        keys.edit(other, name="Export", note="")


def test_a_key_may_keep_the_name_that_its_replacement_has_too():
    key = make_key(name="Export").key
    new = keys.rotate(key).key

    keys.edit(new, name="Export", note="moved")

    new.refresh_from_db()
    assert new.note == "moved"


def test_what_ran_out_is_recorded_once(time_machine):
    time_machine.move_to(NOW, tick=False)
    key = make_key(lifetime=timedelta(days=1)).key
    assert keys.due_to_expire() == []

    time_machine.move_to(NOW + timedelta(days=1), tick=False)

    assert keys.due_to_expire() == [key]
    assert [keys.expire(key), keys.expire(key)] == [True, False]
    assert keys.due_to_expire() == []
    assert KeyEvent.objects.get(key=key, kind="expired").details == {"ended": "expiry"}


def test_the_end_of_an_overlap_is_recorded_too(time_machine):
    time_machine.move_to(NOW, tick=False)
    key = make_key().key
    keys.rotate(key, overlap=timedelta(hours=1))

    time_machine.move_to(NOW + timedelta(hours=1), tick=False)

    assert keys.expire(key)
    assert KeyEvent.objects.get(key=key, kind="expired").details == {"ended": "overlap"}


def test_a_working_key_and_a_revoked_one_do_not_run_out(time_machine):
    time_machine.move_to(NOW, tick=False)
    working, revoked = make_key(), make_key(lifetime=timedelta(days=1))
    keys.revoke(revoked.key, reason="leaked")

    time_machine.move_to(NOW + timedelta(days=1), tick=False)

    assert keys.due_to_expire() == []
    assert not keys.expire(working.key)
    assert not keys.expire(revoked.key)


def test_an_expired_key_stays_on_record_and_says_that_it_expired(time_machine):
    time_machine.move_to(NOW, tick=False)
    issued = make_key(lifetime=timedelta(days=1))
    time_machine.move_to(NOW + timedelta(days=1), tick=False)

    keys.expire(issued.key)

    assert code(issued) == "key_expired"


@pytest.mark.parametrize(
    ("signal", "change"),
    [
        pytest.param(signals.key_rotated, keys.rotate, id="rotated"),
        pytest.param(signals.key_revoked, lambda key: keys.revoke(key, reason="leaked"), id="revoked"),
        pytest.param(signals.key_narrowed, lambda key: keys.narrow(key, scopes=["todo:read"]), id="narrowed"),
        pytest.param(signals.key_edited, lambda key: keys.edit(key, name="Other", note=""), id="edited"),
    ],
)
def test_each_change_sends_its_signal_after_the_commit(signal, change, django_capture_on_commit_callbacks):
    key, told = make_key().key, []

    def receive(**kwargs):
        told.append((kwargs["key"].pk, kwargs["event"].key_id))

    signal.connect(receive)
    with django_capture_on_commit_callbacks(execute=True):
        change(key)
        assert told == []
    signal.disconnect(receive)

    assert told == [(key.pk, key.pk)]


def test_a_change_that_is_rolled_back_sends_no_signal(django_capture_on_commit_callbacks):
    key = make_key().key

    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(errors.ScopeNotHeldError):
        keys.narrow(key, scopes=["usage:write"])

    assert callbacks == []
