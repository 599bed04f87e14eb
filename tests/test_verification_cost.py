from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apikeys import keys, remembered
from apikeys.models import APIKey, KeyEvent
from apikeys.testing import ApiKeyClient, make_key

from .request_path import CountingHasher, code_of, statements, whoami, with_right_tag
from .threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hasher(settings):
    # Alone, as without a cache that other processes share.
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"], "CACHE": None}
    return CountingHasher.start()


@pytest.fixture
def known(hasher):
    """A key that this process has proven, in a minute in which its use is on record."""
    issued = make_key()
    assert whoami(issued).status_code == 200
    hasher.start()
    return issued


def set_apikeys(settings, **changed):
    settings.APIKEYS = {**settings.APIKEYS, **changed}


@pytest.mark.urls("tests.request_path_urls")
def test_a_request_costs_one_query(known):
    with statements() as sql:
        response = ApiKeyClient(known).get("/reads/")

    assert response.status_code == 200
    assert len(sql) == 1
    assert sql[0].startswith("SELECT")


@pytest.mark.urls("tests.request_path_urls")
def test_who_is_calling_and_whether_active_costs_no_further_query(known):
    with statements() as sql:
        response = ApiKeyClient(known).get("/barely/")

    assert response.json() == {"pk": known.key.owner_id, "is_active": True}
    assert len(sql) == 1


@pytest.mark.urls("tests.request_path_urls")
def test_the_first_other_field_of_the_person_loads_all_of_it(known):
    with statements() as sql:
        response = ApiKeyClient(known).get("/wholly/")

    assert response.json()[0] == known.key.owner.username
    assert len(sql) == 2


@pytest.mark.urls("tests.request_path_urls")
def test_the_person_can_be_read_again_in_part(known):
    response = ApiKeyClient(known).get("/refreshing/")

    assert response.json() == {"is_superuser": True}


@pytest.mark.urls("tests.request_path_urls")
def test_the_person_can_be_read_again_through_another_query_set(known):
    response = ApiKeyClient(known).get("/locking/")

    assert response.json() == {"username": known.key.owner.username}


def test_a_service_key_costs_one_query():
    issued = make_key(owner=None)
    whoami(issued)

    with statements() as sql:
        response = whoami(issued)

    assert response.status_code == 200
    assert len(sql) == 1


def test_the_first_request_of_a_process_hashes_and_the_next_does_not(hasher):
    issued = make_key()

    responses = [whoami(issued) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 200]
    assert hasher.checks == [issued.key.verifier]


def test_a_new_process_hashes_once_more(hasher, known):
    remembered.forget_all()

    whoami(known)
    whoami(known)

    assert len(hasher.checks) == 1


def test_a_wrong_secret_with_a_right_tag_costs_one_hash_and_then_none(hasher, known):
    guess = with_right_tag(known.key.key_id)

    responses = [whoami(guess) for _ in range(3)]

    assert [code_of(response) for response in responses] == ["key_invalid"] * 3
    assert hasher.checks == [known.key.verifier]


def test_an_unknown_id_with_a_right_tag_costs_one_decoy_hash_and_then_none(hasher, known):
    guess = with_right_tag("0" * 12)
    responses = [whoami(guess)]

    with statements() as sql:
        responses += [whoami(guess) for _ in range(2)]

    assert [code_of(response) for response in responses] == ["key_invalid"] * 3
    assert len(hasher.checks) == 1
    assert known.key.verifier not in hasher.checks
    assert len(sql) == 2


def end(key, *, how):
    if how == "key_revoked":
        keys.revoke(key, reason="leaked")
    elif how == "key_expired":
        APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    else:
        keys.rotate(key, overlap=timedelta(0))


@pytest.mark.parametrize("how", ["key_revoked", "key_expired", "key_rotated"])
def test_a_dead_key_costs_one_query_and_no_hash(hasher, known, how):
    end(known.key, how=how)
    remembered.forget_all()
    whoami(known)
    hasher.start()

    with statements() as sql:
        response = whoami(known)

    assert code_of(response) == how
    assert len(sql) == 1
    assert hasher.checks == []


@pytest.mark.parametrize("how", ["key_revoked", "key_expired", "key_rotated"])
def test_the_state_of_a_dead_key_is_told_to_a_wrong_secret_only_behind_a_right_tag(known, how):
    end(known.key, how=how)
    wrong_tag = known.plaintext[:-1] + ("x" if known.plaintext[-1] != "x" else "y")

    assert code_of(whoami(wrong_tag)) == "key_invalid"


def test_a_key_whose_hash_has_other_options_is_stored_anew_after_its_next_use(settings, known):
    set_apikeys(settings, ARGON2={"memory_kib": 16, "time": 1, "parallelism": 1})
    remembered.forget_all()

    response = whoami(known)

    known.key.refresh_from_db()
    assert response.status_code == 200
    assert "m=16,t=1,p=1" in known.key.verifier
    assert whoami(known).status_code == 200


def test_a_key_whose_hash_has_the_options_of_today_is_not_stored_anew(hasher, known):
    remembered.forget_all()

    whoami(known)

    assert hasher.hashes == []


def test_a_wrong_secret_is_never_stored(settings, known):
    set_apikeys(settings, ARGON2={"memory_kib": 16, "time": 1, "parallelism": 1})

    whoami(with_right_tag(known.key.key_id))

    assert APIKey.objects.get(pk=known.key.pk).verifier == known.key.verifier


def test_a_hash_that_somebody_replaced_meanwhile_is_left_alone(settings, known):
    set_apikeys(settings, ARGON2={"memory_kib": 16, "time": 1, "parallelism": 1})
    stale = known.key.verifier
    APIKey.objects.filter(pk=known.key.pk).update(verifier="argon2id$of-somebody-else")

    keys.rehash(known.key.key_id, old_verifier=stale, secret=known.plaintext)

    assert APIKey.objects.get(pk=known.key.pk).verifier == "argon2id$of-somebody-else"


def test_a_verifier_from_another_row_admits_nobody(known):
    other = make_key()
    whoami(other)
    APIKey.objects.filter(pk=known.key.pk).update(verifier=other.key.verifier)

    response = whoami(known)

    assert code_of(response) == "key_invalid"


def test_swapped_verifiers_admit_nobody(known):
    other = make_key()
    whoami(other)
    APIKey.objects.filter(pk=known.key.pk).update(verifier=other.key.verifier)
    APIKey.objects.filter(pk=other.key.pk).update(verifier=known.key.verifier)

    assert [code_of(whoami(issued)) for issued in (known, other)] == ["key_invalid"] * 2


@pytest.mark.parametrize("verifier", ["", "argon2id$", "argon2id$v=19$m=8,t=1,p=1$x$y", "plain$x", "no-dollar", "$"])
def test_a_verifier_that_cannot_be_read_admits_nobody(known, verifier):
    APIKey.objects.filter(pk=known.key.pk).update(verifier=verifier)

    response = whoami(known)

    assert response.status_code == 401
    assert code_of(response) == "key_invalid"


def test_a_replaced_verifier_ends_what_was_remembered(known):
    APIKey.objects.filter(pk=known.key.pk).update(verifier=make_key().key.verifier)

    assert code_of(whoami(known)) == "key_invalid"


def test_a_secret_once_refused_is_admitted_when_its_verifier_is_back(known):
    verifier = known.key.verifier
    APIKey.objects.filter(pk=known.key.pk).update(verifier=make_key().key.verifier)
    whoami(known)
    APIKey.objects.filter(pk=known.key.pk).update(verifier=verifier)

    assert whoami(known).status_code == 200


def test_guesses_beyond_the_budget_of_a_key_are_told_to_wait(settings):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=2)
    issued = make_key()
    guesses = [with_right_tag(issued.key.key_id, secret=f"{number:043}") for number in range(5)]

    responses = [whoami(guess) for guess in guesses]

    # A minute may turn while they are sent, so that two budgets are spent, never three.
    assert [code_of(response) for response in responses[:2]] == ["key_invalid"] * 2
    refused = [response for response in responses if response.status_code == 429]
    assert refused
    assert refused[0].json()["code"] == "rate_limited"
    assert 1 <= int(refused[0]["Retry-After"]) <= 60
    assert f"Try again in {refused[0]['Retry-After']} second" in refused[0].json()["detail"]


def test_guesses_do_not_stop_the_key_that_is_known(settings, known):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1)
    for number in range(3):
        whoami(with_right_tag(known.key.key_id, secret=f"{number:043}"))

    assert whoami(known).status_code == 200


def test_guesses_at_one_key_leave_others_their_budget(settings, known):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1)
    for number in range(3):
        whoami(with_right_tag(known.key.key_id, secret=f"{number:043}"))

    assert whoami(make_key()).status_code == 200


def test_wrong_tags_spend_no_budget(settings):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1)
    issued = make_key()
    for letter in "abc":
        whoami(issued.plaintext[:-2] + letter + "-")

    assert whoami(issued).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_many_threads_with_one_new_key_hash_once(hasher, settings):
    # Long enough for the others to arrive while the first one hashes.
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1, ARGON2={"memory_kib": 65536, "time": 2, "parallelism": 1})
    issued = make_key()
    verifier = hasher(settings.APIKEYS["ARGON2"]).hash(issued.plaintext[:-8])
    APIKey.objects.filter(pk=issued.key.pk).update(verifier=verifier)

    responses = at_once(*[lambda: whoami(issued)] * 12)

    assert [response.status_code for response in responses] == [200] * 12
    assert len(hasher.checks) == 1


@pytest.mark.django_db(transaction=True)
def test_many_threads_with_one_wrong_secret_hash_once(hasher):
    guess = with_right_tag(make_key().key.key_id)

    responses = at_once(*[lambda: whoami(guess)] * 8)

    assert [code_of(response) for response in responses] == ["key_invalid"] * 8
    assert len(hasher.checks) == 1


def test_a_memory_of_one_proof_admits_two_keys_in_turn(hasher, settings):
    set_apikeys(settings, REMEMBERED_PROOFS=1)
    issued = [make_key(), make_key()]

    responses = [whoami(one) for one in (*issued, *issued)]

    assert {response.status_code for response in responses} == {200}
    assert len(hasher.checks) == 4


def test_refusals_without_a_right_tag_write_nothing(known):
    whoami(known.plaintext[:-1] + "-")

    with statements() as sql:
        whoami(known.plaintext[:-1] + "-")
        whoami(known.plaintext[:-2])

    assert [text for text in sql if "apikeys_tagsecret" not in text] == []
    assert not KeyEvent.objects.exclude(kind__in=["issued", "client_created"]).exists()


OTHERWISE = {
    "other spacing": lambda key: {"HTTP_AUTHORIZATION": f"bearer   {key}"},
    "other scheme": lambda key: {"HTTP_AUTHORIZATION": f"Api-Key {key}"},
    "other header": lambda key: {"HTTP_X_API_KEY": key},
}


@pytest.mark.parametrize("headers", OTHERWISE.values(), ids=OTHERWISE)
def test_a_key_that_comes_otherwise_than_before_runs_no_hash(hasher, known, headers):
    response = ApiKeyClient().get("/apikeys/whoami/", **headers(known.plaintext))

    assert response.status_code == 200
    assert hasher.checks == []


BESIDE = {
    "second header": ({"HTTP_X_API_KEY": "x"}, 400, "invalid_request"),
    "key in the query": ({"QUERY_STRING": "k=ak_live_000000000000_000000000"}, 400, "key_in_query"),
    "encoded key in the query": ({"QUERY_STRING": "k=ak%5Flive%5F000000000000%5F000000000"}, 400, "key_in_query"),
    "plain http": ({"wsgi.url_scheme": "http"}, 403, "https_required"),
}


@pytest.mark.parametrize(("beside", "status", "code"), BESIDE.values(), ids=BESIDE)
def test_a_key_that_was_let_in_is_refused_for_what_stands_beside_it(known, beside, status, code):
    environ = {"HTTP_AUTHORIZATION": f"Bearer {known.plaintext}", "wsgi.url_scheme": "https", **beside}

    response = APIClient().get("/apikeys/whoami/", **environ)

    assert (response.status_code, code_of(response)) == (status, code)


@pytest.mark.parametrize(
    "query", ["", "page=2", "todo_id=2", "q=50%25"], ids=["none", "plain", "underscore", "encoded"]
)
def test_a_query_is_no_reason_to_hash_again(hasher, known, query):
    response = ApiKeyClient(known).get(f"/apikeys/whoami/?{query}")

    assert response.status_code == 200
    assert hasher.checks == []


def test_a_key_of_the_other_mode_is_refused_though_it_was_let_in_before(settings, known):
    set_apikeys(settings, MODE="test")

    assert code_of(whoami(known)) == "wrong_mode"


def test_headers_are_remembered_only_where_a_key_was_proven(known, settings):
    guess = with_right_tag(known.key.key_id)

    responses = [whoami(guess) for _ in range(2)]

    assert [code_of(response) for response in responses] == ["key_invalid"] * 2
