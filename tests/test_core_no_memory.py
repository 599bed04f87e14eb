from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own, whose memory can be limited without harm to the others.
PROGRAM = """
import resource
from apikeys.core.credentials import SecretProof
from apikeys.core.errors import HashingFailedError
from apikeys.core.verifiers import Argon2idHasher

hasher = Argon2idHasher({"memory_kib": 65536, "time": 1})
stored = hasher.hash("secret")
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (1, hard))
try:
    found = hasher.matches(SecretProof(text="secret"), stored)
except HashingFailedError:
    found = "not known"
# Whoever measures this process writes down what ran when it ends.
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
print(found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process that asks for it")
def test_a_check_that_finds_no_memory_is_no_mismatch():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)  # noqa: S603

    assert ran.stdout == "not known\n"
