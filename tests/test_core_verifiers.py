from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2.low_level import Type, core, ffi

from apikeys.core.credentials import Proof, SecretProof
from apikeys.core.errors import HashingFailedError
from apikeys.core.memory import BoundedMemory
from apikeys.core.principals import ClientUser, Principal
from apikeys.core.verifiers import Argon2idHasher, find_verifier, preferred_hasher

VECTORS = json.loads((Path(__file__).parent / "vectors" / "argon2id.json").read_text())
CHEAP = {"memory_kib": 8, "time": 1, "parallelism": 1}


@dataclass(frozen=True, kw_only=True)
class SignatureProof(Proof):
    signature: str


def test_stored_text_of_another_implementation_verifies():
    vector = VECTORS["argon2id_owasp_params_phc"]
    stored = vector["phc"].removeprefix("$")

    assert Argon2idHasher({}).matches(SecretProof(text=vector["password"]), stored)
    assert not Argon2idHasher({}).matches(SecretProof(text=vector["password"] + "x"), stored)


def test_argon2id_gives_the_tag_of_rfc_9106_section_5_3():
    vector = VECTORS["argon2id_rfc9106_5_3"]
    out = ffi.new("uint8_t[]", 32)
    buffers = {name: bytes.fromhex(vector[name]) for name in ("password", "salt", "secret", "ad")}
    pointers = {name: ffi.new("uint8_t[]", value) for name, value in buffers.items()}
    context = ffi.new(
        "argon2_context *",
        {
            "out": out,
            "outlen": 32,
            "version": 0x13,
            "pwd": pointers["password"],
            "pwdlen": len(buffers["password"]),
            "salt": pointers["salt"],
            "saltlen": len(buffers["salt"]),
            "secret": pointers["secret"],
            "secretlen": len(buffers["secret"]),
            "ad": pointers["ad"],
            "adlen": len(buffers["ad"]),
            "t_cost": vector["t"],
            "m_cost": vector["m_kib"],
            "lanes": vector["p"],
            "threads": vector["p"],
            "allocate_cbk": ffi.NULL,
            "free_cbk": ffi.NULL,
            "flags": 0,
        },
    )

    assert core(context, Type.ID.value) == 0
    assert bytes(ffi.buffer(out)).hex() == vector["tag_hex"]


def test_the_defaults_are_those_of_owasp():
    assert Argon2idHasher({}).hash("secret").startswith("argon2id$v=19$m=19456,t=2,p=1$")


def test_two_hashes_of_one_secret_differ_and_both_match():
    hasher = Argon2idHasher(CHEAP)
    first, second = hasher.hash("secret"), hasher.hash("secret")

    assert first != second
    assert hasher.matches(SecretProof(text="secret"), first)
    assert hasher.matches(SecretProof(text="secret"), second)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param("argon2id$v=19$m=8,t=1,p=1$AAAA", id="cut off"),
        pytest.param("argon2id$", id="empty"),
        pytest.param("sha256$abc", id="another algorithm"),
    ],
)
def test_unreadable_stored_text_matches_nothing(stored):
    assert not Argon2idHasher(CHEAP).matches(SecretProof(text="secret"), stored)


def test_a_hasher_takes_no_other_kind_of_proof():
    hasher = Argon2idHasher(CHEAP)

    assert not hasher.matches(SignatureProof(signature="secret"), hasher.hash("secret"))


def test_a_hash_made_with_other_options_needs_a_new_one():
    weak = Argon2idHasher(CHEAP).hash("secret")

    assert Argon2idHasher({}).needs_rehash(weak)
    assert not Argon2idHasher(CHEAP).needs_rehash(weak)


def test_the_stored_text_picks_the_verifier():
    hasher = Argon2idHasher(CHEAP)

    assert find_verifier([hasher], "argon2id$v=19$…") is hasher


@pytest.mark.parametrize("stored", ["", "argon2id", "none$", "ARGON2ID$v=19$…", "$argon2id$"])
def test_stored_text_that_names_no_known_algorithm_has_no_verifier(stored):
    assert find_verifier([Argon2idHasher(CHEAP)], stored) is None


def test_without_a_hasher_none_is_preferred():
    assert preferred_hasher([]) is None


def test_no_repr_of_a_proof_shows_the_secret():
    assert "hunter2" not in repr(SecretProof(text="hunter2"))


def test_a_bounded_memory_forgets_what_was_asked_for_longest_ago():
    memory: BoundedMemory[str, int] = BoundedMemory()
    memory.put("a", 1, most=2)
    memory.put("b", 2, most=2)
    memory.get("a")

    memory.put("c", 3, most=2)

    assert [memory.get(name) for name in "abc"] == [1, None, 3]
    assert len(memory) == 2


def test_a_cleared_memory_is_empty():
    memory: BoundedMemory[str, int] = BoundedMemory()
    memory.put("a", 1, most=2)

    memory.clear()

    assert memory.get("a") is None


def principal(**fields):
    return Principal(
        kind="api_key",
        client_id="c",
        client_name="C",
        key_id="k",
        key_name="K",
        family="k",
        scopes=frozenset({"todo:read", "todo:write"}),
        user=ClientUser(client_id="c", name="C"),
        acts_for_user=False,
        **fields,
    )


@pytest.mark.parametrize(
    ("names", "all_", "any_"),
    [
        pytest.param(["todo:read"], True, True, id="held"),
        pytest.param(["todo:read", "todo:write"], True, True, id="both held"),
        pytest.param(["todo:read", "usage:read"], False, True, id="one of two"),
        pytest.param(["usage:read"], False, False, id="not held"),
        pytest.param([], False, False, id="nothing asked"),
    ],
)
def test_a_principal_answers_for_its_scopes_and_empty_means_nothing(names, all_, any_):
    assert principal().has_scopes(*names) is all_
    assert principal().has_any_scope(*names) is any_


def test_a_principal_can_not_be_changed():
    with pytest.raises(AttributeError):
        principal().scopes = frozenset({"everything"})


def test_a_client_user_is_authenticated_and_holds_no_right():
    user = ClientUser(client_id="abc", name="Analytics")

    assert (user.is_authenticated, user.is_anonymous, user.is_active) == (True, False, True)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert not user.has_perm("todo.view_todo")
    assert not user.has_perms(["todo.view_todo"])
    assert not user.has_module_perms("todo")
    assert user.get_all_permissions() == user.get_group_permissions() == set()


def test_client_users_are_told_apart_by_client():
    one, same, other = (ClientUser(client_id=name, name="Analytics") for name in ("a", "a", "b"))

    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one.pk == one.id == one.username == one.get_username() == "client:a"
    assert (str(one), repr(one)) == ("Analytics", "<ClientUser client:a>")


def test_a_cost_that_the_machine_can_not_pay_is_an_error_of_ours():
    # Argon2 wants at least 8 KiB for each lane.
    with pytest.raises(HashingFailedError):
        Argon2idHasher({"memory_kib": 8, "time": 1, "parallelism": 4}).hash("secret")
