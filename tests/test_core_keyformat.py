from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core import keyformat
from apikeys.core.errors import MalformedKeyError

TAG_SECRET = bytes(range(32))
PLAINTEXT = keyformat.generate(prefix="ak", mode="live").tagged(TAG_SECRET)

prefixes = st.from_regex(r"[0-9A-Za-z]{1,16}", fullmatch=True)
modes = st.sampled_from(keyformat.MODES)


@given(prefix=prefixes, mode=modes, tag_secret=st.binary(min_size=32, max_size=32))
def test_a_generated_key_parses_into_what_it_was_made_of(prefix, mode, tag_secret):
    new = keyformat.generate(prefix=prefix, mode=mode)

    parsed = keyformat.parse(new.tagged(tag_secret), prefix=prefix)

    assert (parsed.mode, parsed.key_id, parsed.text) == (mode, new.key_id, new.body)
    assert parsed.plaintext == new.tagged(tag_secret)
    assert parsed.is_tagged_by([b"another secret", tag_secret])


def test_a_key_with_the_default_prefix_has_72_characters_that_a_double_click_selects():
    assert len(PLAINTEXT) == 72
    assert re.fullmatch(r"\w+", PLAINTEXT, flags=re.ASCII)


def test_two_keys_share_neither_id_nor_secret():
    made = {keyformat.generate(prefix="ak", mode="live").body for _ in range(100)}

    assert len({body.split("_")[2] for body in made}) == 100
    assert len({body.split("_")[3] for body in made}) == 100


def test_another_tag_secret_does_not_admit_a_key():
    assert not keyformat.parse(PLAINTEXT, prefix="ak").is_tagged_by([b"another secret"])


def test_without_tag_secrets_nothing_is_admitted():
    assert not keyformat.parse(PLAINTEXT, prefix="ak").is_tagged_by([])


@given(st.text(max_size=100))
def test_any_other_text_is_refused_as_malformed(text):
    with pytest.raises(MalformedKeyError):
        keyformat.parse(text, prefix="ak")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(PLAINTEXT[:-1], id="cut"),
        pytest.param(PLAINTEXT + "a", id="too long"),
        pytest.param("a" * 10_000, id="ten kilobytes"),
        pytest.param(PLAINTEXT.replace("_live_", "_prod_"), id="unknown mode"),
        pytest.param("xx" + PLAINTEXT[2:], id="another prefix"),
        pytest.param(PLAINTEXT[:-1] + "-", id="foreign letter in the tag"),
        pytest.param(PLAINTEXT[:9] + "é" + PLAINTEXT[10:], id="foreign letter in the id"),
        pytest.param(PLAINTEXT[:9] + "\x00" + PLAINTEXT[10:], id="NUL"),
        pytest.param(PLAINTEXT[:19] + "_" + PLAINTEXT[20:-1] + "0", id="underscore moved"),
        pytest.param(PLAINTEXT[:-1] + "٣", id="a digit that is not ASCII"),
        pytest.param(PLAINTEXT[:-1] + "\n", id="line feed at the end"),
    ],
)
def test_what_is_not_a_whole_key_is_refused_as_malformed(text):
    with pytest.raises(MalformedKeyError):
        keyformat.parse(text, prefix="ak")


def test_a_mask_shows_six_characters_of_the_id():
    assert keyformat.mask(prefix="ak", mode="live", key_id="4Qm9ZtR1xVb7") == "ak_live_4Qm9Zt…"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(f'GET /x?k={PLAINTEXT}&a=b HTTP/1.1" 200', PLAINTEXT, id="in a log line"),
        pytest.param(PLAINTEXT[:40], PLAINTEXT[:40], id="cut off"),
        pytest.param("ak_live_4Qm9Zt…", None, id="a mask"),
        pytest.param("ak_live_4Qm9ZtR1xVb7", None, id="a key id alone"),
    ],
)
def test_a_key_is_found_in_any_text_but_its_public_half_is_not(text, found):
    match = keyformat.key_pattern("ak").search(text)

    assert (match and match[0]) == found


@pytest.mark.parametrize(
    ("prefix", "valid"),
    [
        pytest.param("ak", True, id="letters"),
        pytest.param("a" * 16, True, id="sixteen"),
        pytest.param("a" * 17, False, id="seventeen"),
        pytest.param("", False, id="empty"),
        pytest.param("a_b", False, id="underscore"),
        pytest.param("é", False, id="not ASCII"),
        pytest.param("ak\n", False, id="line feed"),
    ],
)
def test_a_prefix_is_one_to_sixteen_letters_and_digits(prefix, valid):
    assert keyformat.is_valid_prefix(prefix) is valid


def test_no_repr_shows_a_secret():
    new = keyformat.generate(prefix="ak", mode="live")
    parsed = keyformat.parse(new.tagged(TAG_SECRET), prefix="ak")

    assert new.body[21:] not in repr(new)
    assert parsed.text[21:] not in repr(parsed)
    assert parsed.tag not in repr(parsed)


def test_a_tag_secret_has_256_random_bits():
    assert len(keyformat.new_tag_secret()) == 32
    assert keyformat.new_tag_secret() != keyformat.new_tag_secret()
