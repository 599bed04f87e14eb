from __future__ import annotations

import pytest

from apikeys.core.principals import ClientUser, Principal, RemoteUser


@pytest.mark.parametrize(
    ("username", "shown"), [pytest.param("richard", "richard", id="known"), pytest.param("", "user:7", id="unknown")]
)
def test_person_of_another_site_is_called_by_name_where_that_is_known(username, shown):
    person = RemoteUser(sub="user:7", username=username)

    assert (str(person), person.get_username(), person.pk, person.id) == (shown, username, "user:7", "user:7")


def test_persons_of_another_site_are_who_their_subject_says():
    one, same = RemoteUser(sub="user:7", username="richard"), RemoteUser(sub="user:7", username="")

    assert one == same
    assert hash(one) == hash(same)
    assert one != RemoteUser(sub="user:8", username="richard")
    assert one != ClientUser(client_id="user:7", name="Watch")


def test_callers_of_whom_claims_are_told_can_be_kept_in_a_set():
    def caller(**claims):
        return Principal(
            kind="api_key",
            client_id="todo-app",
            client_name="Watch",
            key_id="4Qm9ZtR1xVb7",
            key_name="",
            family="4Qm9ZtR1xVb7",
            scopes=frozenset({"todo:read"}),
            user=ClientUser(client_id="todo-app", name="Watch"),
            acts_for_user=False,
            claims=claims,
        )

    assert len({caller(seats=3), caller(seats=3), caller(seats=4)}) == 2
