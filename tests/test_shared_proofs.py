from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache

from apikeys import clients, remembered, shared_proofs
from apikeys.models import APIKey
from apikeys.registry import scope_registry
from apikeys.testing import assert_not_stored, make_key

from .request_path import CountingHasher, code_of, statements, whoami, with_right_tag
from .shared_cache import as_new_process, use_fake_cache

pytestmark = pytest.mark.django_db

LOCAL_MEMORY = "django.core.cache.backends.locmem.LocMemCache"


class OwnLocalMemory(LocMemCache):
    """As a project may make one."""


@pytest.fixture(autouse=True)
def hasher(settings):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"]}
    return CountingHasher.start()


@pytest.fixture
def fake_cache(settings):
    return use_fake_cache(settings)


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.redis)])
def shared_cache(request, settings):
    if request.param == "fake":
        use_fake_cache(settings)
    cache.clear()
    yield cache
    cache.clear()


def stored(issued, *, verifier=None):
    """Return the entry that says that the secret of *issued* matches *verifier*, by default its own."""
    plaintext = getattr(issued, "plaintext", issued)
    return shared_proofs.entry_for(plaintext[:-8], verifier=verifier or issued.key.verifier)


def test_a_key_that_one_process_proved_costs_the_next_no_hash(hasher, shared_cache):
    issued = make_key()
    whoami(issued)
    hasher.start()

    responses = [as_new_process(issued) for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 200]
    assert hasher.checks == []


@pytest.mark.parametrize(
    ("name", "hashes"),
    [
        pytest.param("default", 0, id="shared"),
        pytest.param(None, 100, id="not shared"),
    ],
)
def test_a_cold_start_hashes_each_key_once_or_not_at_all(settings, hasher, fake_cache, name, hashes):
    settings.APIKEYS = {**settings.APIKEYS, "CACHE": name}
    client = clients.create(name="Fleet", allowed_scopes=list(scope_registry()))
    issued = [make_key(client=client, owner=None) for _ in range(100)]
    for one in issued:
        whoami(one)
    hasher.start()
    remembered.forget_all()

    statuses = [whoami(one).status_code for one in (*issued, *issued)]

    assert statuses == [200] * 200
    assert len(hasher.checks) == hashes


def test_a_key_that_the_process_knows_asks_no_cache(fake_cache):
    issued = make_key()
    whoami(issued)
    fake_cache.calls.clear()

    response = whoami(issued)

    assert response.status_code == 200
    assert fake_cache.calls == []


@pytest.mark.parametrize("backend", [LOCAL_MEMORY, f"{__name__}.OwnLocalMemory", "filebased.FileBasedCache"])
def test_a_cache_that_is_not_shared_or_not_quick_is_not_used(settings, hasher, tmp_path, backend):
    if backend.startswith("filebased"):
        backend = f"django.core.cache.backends.{backend}"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}
    issued = make_key()
    whoami(issued)

    as_new_process(issued)

    assert len(hasher.checks) == 2


def test_a_cache_in_the_database_is_not_used(settings, caplog):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "proofs_of_keys"}
    }

    with statements() as sql:
        response = whoami(make_key())

    assert response.status_code == 200
    assert not [statement for statement in sql if "proofs_of_keys" in statement]
    assert not [record for record in caplog.records if record.name == "apikeys.auth"]


def test_the_cache_learns_nothing_of_the_key(fake_cache):
    issued = make_key()

    whoami(issued)

    [(name, value)] = fake_cache.entries.items()
    assert re.fullmatch("apikeys:proof:[0-9a-f]{64}", name)
    assert re.fullmatch("[0-9a-f]{64}", value)
    assert value not in name
    assert fake_cache.timeouts == [7 * 24 * 60 * 60]


@pytest.mark.redis
def test_redis_holds_no_part_of_the_key():
    issued = make_key()

    whoami(issued)

    assert shared_proofs.has(stored(issued))
    assert_not_stored(issued.plaintext)


def test_a_text_that_was_refused_is_not_shared(fake_cache):
    issued = make_key()

    codes = [code_of(whoami(with_right_tag(key_id))) for key_id in (issued.key.key_id, "0" * 12)]

    assert codes == ["key_invalid"] * 2
    assert fake_cache.entries == {}


def test_a_key_of_older_cost_is_stored_anew_though_another_process_proved_it(settings, hasher, shared_cache):
    issued = make_key()
    whoami(issued)
    settings.APIKEYS = {**settings.APIKEYS, "ARGON2": {"memory_kib": 16, "time": 1, "parallelism": 1}}
    hasher.start()

    as_new_process(issued)

    assert hasher.checks == []
    assert "m=16,t=1,p=1" in APIKey.objects.get(pk=issued.key.pk).verifier


def test_what_was_proven_against_an_older_hash_proves_nothing_of_the_new_one(settings, hasher, shared_cache):
    issued = make_key()
    whoami(issued)
    settings.APIKEYS = {**settings.APIKEYS, "ARGON2": {"memory_kib": 16, "time": 1, "parallelism": 1}}
    as_new_process(issued)
    hasher.start()

    statuses = [as_new_process(issued).status_code for _ in range(3)]

    assert statuses == [200] * 3
    assert hasher.checks == [APIKey.objects.get(pk=issued.key.pk).verifier]


@pytest.mark.parametrize("is_new", [True, False], ids=["new process", "same process"])
def test_verifiers_swapped_between_two_keys_admit_neither(shared_cache, is_new):
    one, other = make_key(), make_key()
    for issued in (one, other):
        whoami(issued)
    APIKey.objects.filter(pk=one.key.pk).update(verifier=other.key.verifier)
    APIKey.objects.filter(pk=other.key.pk).update(verifier=one.key.verifier)

    responses = [as_new_process(issued) if is_new else whoami(issued) for issued in (one, other)]

    assert [code_of(response) for response in responses] == ["key_invalid"] * 2


def test_the_secret_of_one_key_under_the_id_of_another_admits_nobody(shared_cache):
    one, other = make_key(), make_key()
    for issued in (one, other):
        whoami(issued)
    mixed = with_right_tag(one.key.key_id, secret=other.plaintext.rpartition("_")[2][:-8])

    responses = [whoami(mixed), as_new_process(mixed)]

    assert [code_of(response) for response in responses] == ["key_invalid"] * 2


def test_an_entry_copied_to_another_key_admits_nobody(shared_cache):
    issued = make_key()
    whoami(issued)
    guess = with_right_tag(issued.key.key_id)
    genuine = shared_cache.get(stored(issued).name)
    assert genuine is not None
    shared_cache.set(stored(guess, verifier=issued.key.verifier).name, genuine)

    response = as_new_process(guess)

    assert code_of(response) == "key_invalid"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(True, id="true"),
        pytest.param(1, id="one"),
        pytest.param("", id="empty"),
        pytest.param("0" * 64, id="zeros"),
        pytest.param(b"0" * 64, id="bytes"),
        pytest.param("\u0660" * 64, id="other digits"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param(["0" * 64], id="list"),
    ],
)
def test_a_forged_entry_admits_nobody(shared_cache, value):
    issued = make_key()
    guess = with_right_tag(issued.key.key_id)
    shared_cache.set(stored(guess, verifier=issued.key.verifier).name, value)

    response = as_new_process(guess)

    assert code_of(response) == "key_invalid"


def test_an_entry_of_an_algorithm_that_was_given_up_admits_nobody(settings, shared_cache):
    issued = make_key()
    whoami(issued)
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.test_extension_points.QuickHasher"]}

    response = as_new_process(issued)

    assert code_of(response) == "key_invalid"


def empty(settings):
    cache.clear()


def rotate_secret_key(settings):
    settings.SECRET_KEY = "another one, only for tests"


@pytest.mark.parametrize("lose", [empty, rotate_secret_key])
def test_what_the_cache_lost_is_proven_once_more(settings, hasher, shared_cache, lose):
    issued = make_key()
    whoami(issued)
    lose(settings)
    hasher.start()

    statuses = [as_new_process(issued).status_code for _ in range(3)]

    assert statuses == [200] * 3
    assert len(hasher.checks) == 1
