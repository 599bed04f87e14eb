from __future__ import annotations

import logging
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from apikeys.core import keyformat
from apikeys.logging import RedactKeys

from .logs import JSONFormatter
from .test_logging_redaction import VALUES, Shown, encoded, logged

letters = st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=8, max_size=51)
key_ids = st.text(alphabet=keyformat.ALPHABET, min_size=12, max_size=12)
disguises = st.sampled_from([str, str.upper, encoded, lambda text: text.replace("_", "%5f")])
#: Nothing that a secret is made of, so that none is there by chance.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=string.ascii_letters), max_size=20)
makers = st.sampled_from(list(VALUES.values()))


@st.composite
def planted(draw, secret):
    """Draw a value that holds a key with *secret* somewhere inside."""
    key = draw(disguises)(f"ak_{draw(st.sampled_from(keyformat.MODES))}_{draw(key_ids)}_{secret}")
    value = draw(makers)(draw(words) + key + draw(words))
    for wrap in draw(st.lists(st.sampled_from(["list", "tuple", "dict", "dataclass", "exception"]), max_size=6)):
        match wrap:
            case "list":
                value = [draw(words), value]
            case "tuple":
                value = (value, draw(st.integers()))
            case "dict":
                value = {draw(words): value, "n": draw(st.floats())}
            case "dataclass":
                value = Shown(value)
            case "exception":
                value = ValueError(value)
    return value


@settings(deadline=None)
@given(data=st.data())
def test_no_log_holds_a_key_that_is_hidden_in_it_anywhere(data):
    secret = data.draw(letters)
    value = data.draw(planted(secret))
    error = RuntimeError(data.draw(planted(secret)))
    error.__cause__ = ValueError(data.draw(planted(secret)))

    written = [
        logged(pattern, *args, extra={"sent": value}, exc_info=error, formatter=formatter)
        for formatter in (logging.Formatter(), JSONFormatter())
        for pattern, args in (("%s", [value]), ("%r and %s", [value, 1]), (value, []), ("clean", []))
    ]

    shown = "".join(written).lower()
    assert secret[:8] not in shown
    assert encoded(secret[:8]) not in shown


harmless = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text().filter(lambda text: "_" not in text)
    | st.binary().filter(lambda data: b"_" not in data)
    | st.dates()
    | st.builds(Shown, st.just("clean")),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(alphabet="abc"), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(value=harmless, text=st.text().filter(lambda text: "_" not in text))
def test_what_holds_no_key_stays_the_very_same(value, text):
    record = logging.makeLogRecord({"msg": text, "args": (value,), "sent": value})
    before = dict(vars(record))

    RedactKeys().filter(record)

    after = vars(record)
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before if name != "msg")
    assert after["msg"] == before["msg"]
