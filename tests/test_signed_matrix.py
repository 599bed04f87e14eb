from __future__ import annotations

import pytest

from apikeys.core.errors import ExpiredTokenError, InvalidTokenError
from apikeys.signed import keys, tokens
from tests.token_cases import AUDIENCE, CASES, ISSUER, JWKS, LEEWAY, NOW

TRUSTED = keys.KeySet.from_jwks(JWKS)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_each_token_is_decided_as_stated(case):
    try:
        tokens.verify(case.token, keys=TRUSTED, issuer=ISSUER, audience=AUDIENCE, now=NOW, leeway=LEEWAY)
    except ExpiredTokenError as error:
        decided, code = "expired", error.code
    except InvalidTokenError as error:
        decided, code = "invalid", error.code
    else:
        decided, code = "accept", ""

    assert decided == case.expected
    assert code == {"accept": "", "expired": "token_expired", "invalid": "token_invalid"}[decided]


def test_no_case_stands_there_twice():
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names)
    assert len(names) > 200
