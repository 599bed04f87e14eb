from __future__ import annotations

import time
from functools import partial

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from apikeys import tag_secrets
from apikeys.core import keyformat
from apikeys.models import TagSecret
from apikeys.testing import make_key

from .request_path import code_of, statements, whoami
from .request_path_server import other_process
from .threads import at_once


def issue_and_roll_back(*, verify):
    """Return a key that was issued in a transaction that failed; *verify* reads the tag secret inside of it."""
    with transaction.atomic():
        undone = make_key()
        if verify:
            assert tag_secrets.admits(keyformat.parse(undone.plaintext, prefix="ak"))
        transaction.set_rollback(True)
    assert not TagSecret.objects.exists()
    return undone


def pass_five_seconds():
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    tag_secrets._cached.read_at -= 5  # noqa: SLF001


def forge(plaintext, number):
    return plaintext[:-8] + f"{number:08}"


def rereads(sql):
    return sum("apikeys_tagsecret" in statement for statement in sql)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verify", [False, True], ids=["secret unread", "secret read before the rollback"])
def test_a_key_issued_after_a_rolled_back_one_works_at_once(verify):
    undone = issue_and_roll_back(verify=verify)

    issued = make_key()

    assert whoami(issued).status_code == 200
    assert code_of(whoami(undone)) == "key_invalid"


@pytest.mark.django_db(transaction=True)
def test_a_server_older_than_the_first_key_takes_it_at_once():
    with other_process(connection.settings_dict["NAME"]) as server:
        before = server.request(HTTP_AUTHORIZATION="Bearer ak_live_" + "0" * 12 + "_" + "0" * 51)
        issued = make_key()
        first = server.request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}")

    assert (before["status"], before["code"]) == (401, "key_invalid")
    assert first["status"] == 200


@pytest.mark.django_db(transaction=True)
def test_after_a_flush_new_keys_work_at_once():
    flushed = make_key()
    whoami(flushed)
    call_command("flush", interactive=False, verbosity=0)

    issued = make_key()

    assert whoami(issued).status_code == 200
    assert code_of(whoami(flushed)) == "key_invalid"


@pytest.mark.django_db
def test_keys_of_an_older_secret_work_beside_those_of_the_newest():
    older = make_key()
    whoami(older)
    tag_secrets.make()
    newer = make_key()

    responses = [whoami(issued) for issued in (older, newer, older)]

    assert [response.status_code for response in responses] == [200, 200, 200]
    assert TagSecret.objects.count() == 2


@pytest.mark.django_db
def test_the_newest_secret_tags():
    make_key()
    newest = tag_secrets.make()

    issued = make_key()

    assert keyformat.parse(issued.plaintext, prefix="ak").is_tagged_by([bytes(newest.secret)])


@pytest.mark.django_db
def test_keys_of_a_withdrawn_secret_are_refused_after_the_next_read():
    older = make_key()
    tag_secrets.make()
    TagSecret.objects.order_by("pk")[0].delete()
    make_key()

    whoami(forge(older.plaintext, 1))

    assert code_of(whoami(older)) == "key_invalid"


@pytest.mark.django_db
def test_a_secret_that_another_process_made_is_read_within_five_seconds():
    issued = make_key()
    whoami(forge(issued.plaintext, 1))
    elsewhere = TagSecret.objects.create(secret=keyformat.new_tag_secret())
    text = keyformat.parse(issued.plaintext, prefix="ak")
    # Tagged there, of a key that exists.
    retagged = keyformat.UntaggedKey(key_id=text.key_id, body=text.text).tagged(bytes(elsewhere.secret))

    pass_five_seconds()

    assert whoami(retagged).status_code == 200


@pytest.mark.django_db
def test_a_flood_of_forged_keys_reads_the_secrets_once_in_five_seconds():
    issued = make_key()
    whoami(issued)
    pass_five_seconds()
    began = time.monotonic()

    with statements() as sql:
        codes = {code_of(whoami(forge(issued.plaintext, number))) for number in range(60)}

    assert codes == {"key_invalid"}
    assert 1 <= rereads(sql) <= 1 + (time.monotonic() - began) / 5
    assert len(sql) == rereads(sql)


@pytest.mark.django_db
def test_a_flood_that_goes_on_reads_the_secrets_again():
    issued = make_key()
    whoami(forge(issued.plaintext, 1))
    pass_five_seconds()

    with statements() as sql:
        whoami(forge(issued.plaintext, 2))

    assert rereads(sql) == 1


@pytest.mark.django_db(transaction=True)
def test_a_flood_in_many_threads_lets_honest_keys_through():
    issued = make_key()
    whoami(issued)

    texts = [issued.plaintext] * 2 + [forge(issued.plaintext, number) for number in range(6)]
    responses = at_once(*(partial(whoami, text) for text in texts))

    assert [response.status_code for response in responses] == [200] * 2 + [401] * 6


@pytest.mark.django_db
def test_two_first_keys_share_the_secret():
    make_key()
    make_key()

    assert TagSecret.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_first_request_is_let_in_where_another_thread_reads_the_secrets_meanwhile(monkeypatch):
    issued = make_key()
    overtaking = [partial(whoami, issued)]
    compare = keyformat.KeyText.is_tagged_by

    def compare_and_be_overtaken(key_text, secrets):
        is_tagged = compare(key_text, secrets)
        if overtaking:
            at_once(overtaking.pop())
        return is_tagged

    monkeypatch.setattr(keyformat.KeyText, "is_tagged_by", compare_and_be_overtaken)

    assert whoami(issued).status_code == 200
