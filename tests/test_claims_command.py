from __future__ import annotations

import pytest

from apikeys.models import APIKey
from tests.commands import issue
from tests.factories import ClientFactory, UserFactory

from .claims import declared

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _claims():
    UserFactory(username="richard")
    ClientFactory(name="Web app")
    with declared():
        yield


def claims(*texts):
    return [word for text in texts for word in ("--claim", text)]


def test_a_key_is_issued_with_claims():
    texts = ["subscription=premium", "seats=3", "discount=0.5", "beta=yes", "regions=eu", "regions=us", "contract=a=b"]

    result = issue("--show-secrets", *claims(*texts))

    assert result.code == 0
    assert APIKey.objects.get().claims == {
        "subscription": "premium",
        "seats": 3,
        "discount": 0.5,
        "beta": True,
        "regions": ["eu", "us"],
        "contract": "a=b",
    }


def test_json_tells_the_claims():
    result = issue("--show-secrets", "--json", *claims("seats=3"))

    assert result.json["keys"][0]["claims"] == {"seats": 3}


def test_a_number_that_is_whole_stays_so():
    issue("--show-secrets", *claims("discount=2"))

    assert repr(APIKey.objects.get().claims) == "{'discount': 2}"


@pytest.mark.parametrize(("word", "value"), [("true", True), ("No", False), ("1", True), ("FALSE", False)])
def test_yes_and_no_have_several_words(word, value):
    issue("--show-secrets", *claims(f"beta={word}"))

    assert APIKey.objects.get().claims == {"beta": value}


REFUSED = {
    "undeclared": (["colour=red"], "There is no claim “colour”."),
    "registered": (["sub=user:1"], "There is no claim “sub”."),
    "choice": (["subscription=gold"], "“subscription” must be one of: free, premium."),
    "integer": (["seats=3.5"], "“seats” must be a whole number."),
    "number": (["discount=nan"], "“discount” must be a number."),
    "long number": (["seats=" + "9" * 5000], "“seats” must be a whole number."),
    "boolean": (["beta=perhaps"], "“beta” must be true or false."),
    "empty": (["contract="], "“contract” must be text on one line."),
    "twice": (["seats=1", "seats=2"], "“seats” is given twice."),
}


@pytest.mark.parametrize(("texts", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_as_declared_is_refused(texts, sentence):
    result = issue("--show-secrets", "--json", *claims(*texts))

    assert result.code == 2
    assert result.json["error"]["code"] == "claim_refused"
    assert result.json["error"]["detail"].startswith(sentence)
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("text", ["seats", "=3", ""], ids=["no value", "no name", "nothing"])
def test_what_is_no_pair_is_refused(text):
    result = issue("--show-secrets", "--json", *claims(text))

    assert result.code == 2
    assert "Write it as NAME=VALUE." in result.err
    assert not APIKey.objects.exists()
