from __future__ import annotations

import logging
import logging.config
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from logging.handlers import SocketHandler
from types import MappingProxyType
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe

from apikeys.logging import RedactKeys, mask_keys

from .logs import JSONFormatter, jsonable, written_by

KEY_ID = "4Qm9ZtR1xVb7"
SECRET = "kZ8vQ2mT5xN1cR7wL4pJ9sH3dG6fB0yA8uE2iOt1qWzXn5Vb3Mk"
KEY = f"ak_live_{KEY_ID}_{SECRET}"
MASKED = "ak_live_4Qm9Zt…"
LOGGER = "tests.redaction"


def logged(message: Any, *args: Any, formatter: logging.Formatter | None = None, **options: Any) -> str:
    """Return what a handler with the filter writes."""
    with written_by(LOGGER, RedactKeys(), formatter=formatter) as stream:
        logging.getLogger(LOGGER).error(message, *args, **options)
    return stream.getvalue()


def holds_secret(text: str, secret: str = SECRET) -> bool:
    return secret[:8].lower() in text.lower()


def encoded(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


@dataclass
class Shown:
    text: str


@dataclass(frozen=True, slots=True)
class Hidden:
    text: str = field(repr=False)


class Thing:
    """An object of a project."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"thing {self.text}"


class ThingToo(Thing):
    def __repr__(self) -> str:
        return f"<ThingToo {self.text}>"


class ProjectError(Exception):
    """Its constructor takes what nobody guesses."""

    def __init__(self, *, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.text = text


Named = namedtuple("Named", "first second")  # noqa: PYI024  # what somebody else's code may pass


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param(KEY, MASKED, id="whole"),
        pytest.param(f"Bearer {KEY}, again", f"Bearer {MASKED}, again", id="in a sentence"),
        pytest.param(KEY[:-30], MASKED, id="cut off"),
        pytest.param(KEY[:22], MASKED, id="cut off after one letter"),
        pytest.param(KEY[:21], KEY[:21], id="id alone"),
        pytest.param(KEY.replace("live", "test"), MASKED.replace("live", "test"), id="other mode"),
        pytest.param(KEY.upper(), "AK_LIVE_4QM9ZT…", id="upper case"),
        pytest.param(KEY.replace("_", "%5F"), MASKED, id="encoded underscores"),
        pytest.param(f"?key=%61{KEY[1:]}&a=b", f"?key={MASKED}&a=b", id="encoded letter"),
        pytest.param(encoded(KEY), MASKED, id="all encoded"),
        pytest.param(encoded(KEY).replace("%", "%25"), MASKED, id="encoded address in an address"),
        pytest.param(f"{KEY} {KEY}", f"{MASKED} {MASKED}", id="two"),
        pytest.param(f"{KEY}{KEY}{KEY[:30]}", MASKED, id="three side by side"),
        pytest.param("ak_lively 100 % break_test_x", "ak_lively 100 % break_test_x", id="none"),
    ],
)
def test_a_key_in_a_text_is_masked(text, masked):
    assert logged("%s", text) == f"{masked}\n"
    assert logged(text) == f"{masked}\n"


def test_the_prefix_of_the_project_is_that_which_counts(settings):
    settings.APIKEYS = {**settings.APIKEYS, "PREFIX": "Acme"}

    assert logged(f"Acme{KEY[2:]} {KEY[:22]}") == f"Acme{MASKED[2:]} {KEY[:22]}\n"


def test_a_key_that_message_and_argument_make_together_is_masked():
    assert logged("ak_live_%s for %d", KEY[8:], 5) == f"{MASKED} for 5\n"


def test_a_key_in_a_pattern_does_not_break_it():
    assert logged(f"%%61{KEY[1:]} %s", "there") == f"{MASKED} there\n"


def test_a_percent_sign_before_a_key_takes_no_letter_of_it():
    assert not holds_secret(logged(f"100% {KEY} of %s", 1, 2))


def test_arguments_by_name_are_masked():
    assert logged("%(who)s sent %(key)r", {"who": "Ann", "key": KEY}) == f"Ann sent '{MASKED}'\n"


def test_arguments_that_do_not_fit_leak_nothing(capsys):
    logged("%d", KEY)

    told = capsys.readouterr().err
    assert MASKED in told
    assert not holds_secret(told)


VALUES = {
    "text": lambda text: text,
    "safe text": mark_safe,
    "bytes": lambda text: text.encode(),
    "bytearray": lambda text: bytearray(text.encode()),
    "memoryview": lambda text: memoryview(text.encode()),
    "list": lambda text: [1, text],
    "tuple": lambda text: (text, 2),
    "set": lambda text: {text},
    "named tuple": lambda text: Named(1, text),
    "dict": lambda text: {"a": {"b": text}},
    "name in a dict": lambda text: {text: 1},
    "mapping": lambda text: MappingProxyType({"a": text}),
    "values of a form": lambda text: MultiValueDict({"a": ["first", text]}),
    "dataclass": Shown,
    "dataclass that hides it": Hidden,
    "object by str": Thing,
    "object by repr": ThingToo,
    "lazy": lambda text: SimpleLazyObject(lambda: ThingToo(text)),
    "exception": ValueError,
    "exception of a project": lambda text: ProjectError(code=4, text=text),
    "exception of the system": lambda text: FileNotFoundError(2, "No such file", text),
    "group": lambda text: ExceptionGroup("both", [ValueError(text), KeyError("clean")]),
}
values = pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)


@values
def test_a_key_in_an_argument_is_masked(make):
    written = logged("it was %s and %r", make(KEY), [make(KEY)], formatter=JSONFormatter())

    assert "4Qm9Zt" in written
    assert not holds_secret(written)


@values
def test_a_key_in_extra_is_masked(make):
    written = logged("clean", extra={"sent": {"deep": [(make(KEY),)]}}, formatter=JSONFormatter())

    assert "4Qm9Zt" in written
    assert not holds_secret(written)


@values
def test_the_objects_of_the_caller_stay_as_they_are(make):
    inner = make(KEY)
    value = {"deep": [inner]}
    before = repr(jsonable([str(inner), value]))

    logged("%s", value, extra={"sent": value})

    assert value == {"deep": [inner]}
    assert holds_secret(before)
    assert repr(jsonable([str(inner), value])) == before


def test_a_copy_is_of_the_class_that_it_was_where_that_is_safe():
    masked = mask_keys([Hidden(KEY), Named(1, KEY), MultiValueDict({"a": [KEY]})])

    assert masked == [Hidden(MASKED), Named(1, MASKED), MultiValueDict({"a": [MASKED]})]
    assert [type(item) for item in masked] == [Hidden, Named, MultiValueDict]


def test_an_object_with_a_key_keeps_its_attributes_but_for_the_key():
    masked = mask_keys(ThingToo(KEY))

    assert isinstance(masked, ThingToo)
    assert (masked.text, vars(masked)) == (MASKED, {"text": MASKED})


@values
def test_a_record_that_is_pickled_for_another_process_holds_no_key(make):
    record = logging.makeLogRecord({"msg": "%s", "args": (make(KEY),), "sent": [make(KEY)]})
    RedactKeys().filter(record)

    sent = SocketHandler("127.0.0.1", 0).makePickle(record)

    assert not holds_secret(sent.decode("latin-1"))


@pytest.mark.django_db
def test_what_is_not_loaded_is_read_by_none_but_who_shows_it(django_assert_num_queries):
    users = get_user_model().objects
    users.create(username=KEY)
    unread = {"user": SimpleLazyObject(users.get), "users": users.all()}

    with django_assert_num_queries(0):
        logged("clean", extra=unread, formatter=logging.Formatter("%(message)s"))
    with django_assert_num_queries(1):
        text = logged("clean", extra=unread, formatter=logging.Formatter("%(user)s"))

    assert text == f"{MASKED}\n"


@pytest.mark.django_db
def test_what_is_not_loaded_can_be_gone_through_without_keys():
    users = get_user_model().objects
    users.create(username=KEY)
    record = logging.makeLogRecord({"msg": "clean", "names": users.values_list("username"), "nobody": users.none()})

    RedactKeys().filter(record)

    assert list(vars(record)["names"]) == [(MASKED,)]
    assert not vars(record)["nobody"]


def test_a_name_in_extra_is_masked():
    assert not holds_secret(logged("clean", extra={KEY: 1}, formatter=JSONFormatter()))


def test_a_value_inside_of_itself_is_masked():
    circle: dict[str, Any] = {"key": KEY}
    circle["again"] = [circle]

    assert logged("%s", circle) == f"{{'key': '{MASKED}', 'again': ['…']}}\n"


def test_a_value_deeper_than_anybody_logs_is_masked():
    deep: Any = KEY
    for _ in range(60):
        deep = [deep]

    assert not holds_secret(logged("%s", deep, extra={"deep": deep}, formatter=JSONFormatter()))


def test_an_object_that_can_not_be_shown_costs_only_itself():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError(KEY)

    assert logged("%s and %s", "one", Broken()) == "one and <Broken that can't be shown: RuntimeError>\n"


class Broken(dict):
    """Settings that fail when they are read."""

    def __contains__(self, name: object) -> bool:
        raise RuntimeError(KEY)

    def get(self, name: str, default: object = None) -> object:
        raise RuntimeError(KEY)


def test_a_record_that_can_not_be_searched_is_told_without_its_contents(settings):
    settings.APIKEYS = Broken()

    written = logged(KEY, extra={"sent": KEY}, formatter=JSONFormatter())

    assert "withheld" in written
    assert not holds_secret(written)


def fail_by(text):
    try:
        raise ProjectError(code=1, text=text)  # noqa: TRY301
    except ProjectError as error:
        try:
            raise KeyError(text)  # noqa: TRY301
        except KeyError:
            raise ExceptionGroup(f"with {text}", [OSError(2, text), ValueError("clean")]) from error


def caught(function, *args):
    try:
        function(*args)
    except Exception:  # noqa: BLE001  # that is what it is for
        return sys.exc_info()
    raise AssertionError


def test_a_key_in_an_exception_its_causes_and_its_group_is_masked():
    written = logged("it failed", exc_info=caught(fail_by, KEY), formatter=JSONFormatter())

    assert not holds_secret(written)
    for told in ("Group: with ak_live_4Qm9Zt", "ProjectError: 1: ak_live_4Qm9Zt", "fail_by", "ValueError: clean"):
        assert told in written


@pytest.mark.parametrize("length", [30, 40, 300], ids=str)
def test_a_key_at_the_end_of_a_long_chain_of_exceptions_is_masked(length):
    error: Exception = ValueError(KEY)
    for number in range(length):
        outer = RuntimeError(f"number {number}")
        outer.__cause__, error = error, outer

    written = logged("it failed", exc_info=error)

    assert f"RuntimeError: number {length - 1}" in written
    assert not holds_secret(written)


def test_a_traceback_is_as_it_would_be_but_for_the_key():
    exc_info = caught(fail_by, KEY)

    expected = "it failed\n" + logging.Formatter().formatException(exc_info) + "\n"
    assert logged("it failed", exc_info=exc_info) == expected.replace(KEY, MASKED)


def test_a_handler_that_reads_exceptions_itself_gets_masked_ones_of_the_same_name():
    seen = []

    class Reading(logging.Handler):
        def emit(self, record):
            seen.append(record.exc_info)

    handler = Reading()
    handler.addFilter(RedactKeys())
    logging.getLogger(LOGGER).addHandler(handler)
    try:
        logging.getLogger(LOGGER).error("it failed", exc_info=caught(fail_by, KEY))
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)

    [(kind, error, traceback)] = seen
    assert (kind.__name__, str(error)) == ("ExceptionGroup", f"with {MASKED} (2 sub-exceptions)")
    assert (type(error.__cause__).__name__, error.__cause__.text) == ("ProjectError", MASKED)
    assert traceback is not None


def test_a_key_in_a_line_of_source_is_masked():
    def fail():
        raise ValueError("ak_live_4Qm9ZtR1xVb7_kZ8vQ2mT5xN1cR7wL4pJ9sH3dG6fB0yA8uE2iOt1qWzXn5Vb3Mk")

    written = logged("it failed", exc_info=caught(fail), formatter=JSONFormatter())

    assert "ValueError" in written
    assert not holds_secret(written)


def test_a_stack_is_masked():
    written = logged("here", stack_info=True, extra={"key": "ak_live_4Qm9ZtR1xVb7_kZ8vQ2mT5xN1cR7wL4pJ9s"})

    assert "Stack (most recent call last)" in written
    assert not holds_secret(written)


def test_an_exception_without_a_key_is_left_alone():
    exc_info = caught(fail_by, "nothing")
    record = logging.makeLogRecord({"msg": "it failed", "exc_info": exc_info})

    RedactKeys().filter(record)

    assert record.exc_info is exc_info
    assert record.exc_text is None


def test_the_filter_can_be_named_in_a_settings_file(tmp_path):
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact_keys": {"()": "apikeys.logging.RedactKeys"}},
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "filters": ["redact_keys"]}
        },
        "loggers": {"tests.configured": {"handlers": ["file"], "propagate": False}},
    }
    logging.config.dictConfig(config)
    logger = logging.getLogger("tests.configured")

    logger.getChild("child").warning("%s", KEY)

    logger.propagate = True
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_text() == f"{MASKED}\n"
