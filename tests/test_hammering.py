from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apikeys import keys
from apikeys.testing import WorkerProcesses, hammering, make_key
from tests.documents import ROOT, blocks
from tests.everywhere import children

VIEWS = {"ROOT_URLCONF": "tests.hammered_urls"}
A_WHILE_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(scope="module")
def two_processes(django_db_setup):
    with WorkerProcesses(2) as processes:
        yield processes


@pytest.mark.django_db(transaction=True)
def test_revocation_is_proven_with_figures(two_processes, capsys):
    issued = make_key()

    with two_processes.hammering("/reads/", issued, settings=VIEWS) as proof:
        keys.revoke(issued.key, reason="leaked")
        figures = proof.assert_refused()

    assert figures.workers == 2
    assert figures.last_admitted < timedelta(0)
    assert set(figures.answers) == {"401 key_revoked"}
    assert sum(figures.answers.values()) >= 2 * 10
    assert capsys.readouterr().out == f"{figures}\n"


@pytest.mark.django_db(transaction=True)
def test_admission_from_a_memory_is_found(two_processes):
    issued = make_key()

    with two_processes.hammering("/cached/", issued, settings=VIEWS) as proof:
        keys.revoke(issued.key, reason="leaked")
        with pytest.raises(AssertionError, match="too late"):
            proof.assert_refused()


@pytest.mark.django_db(transaction=True)
def test_nobody_asks_again_before_each_was_admitted(two_processes, settings, tmp_path):
    settings.APIKEYS = {**settings.APIKEYS, "QUOTAS": ["2/month"], "QUOTA_BLOCK": 1}

    with two_processes.hammering(f"/unequal/?late={tmp_path / 'late'}", make_key(), settings=VIEWS) as round_:
        figures = round_.finish(since=A_WHILE_AGO)

    assert figures.answers["200"] == 2


@pytest.mark.django_db(transaction=True)
def test_key_that_nobody_stopped_is_found(two_processes):
    with (
        two_processes.hammering("/reads/", make_key(), settings=VIEWS) as proof,
        pytest.raises(AssertionError, match="too late"),
    ):
        proof.assert_refused(within=timedelta(milliseconds=100))


@pytest.mark.django_db(transaction=True)
def test_end_that_comes_by_itself_is_taken_from_the_clock_of_the_day(two_processes):
    issued = make_key()

    with two_processes.hammering("/reads/", issued, settings=VIEWS) as proof:
        keys.rotate(issued.key, overlap=timedelta(milliseconds=200))
        figures = proof.assert_refused(since=issued.key.overlap_ends_at)

    assert set(figures.answers) == {"401 key_rotated"}


@pytest.mark.django_db(transaction=True)
def test_end_that_is_named_too_early_is_found(two_processes):
    issued = make_key()

    with two_processes.hammering("/reads/", issued, settings=VIEWS) as proof:
        keys.rotate(issued.key, overlap=timedelta(milliseconds=300))
        too_early = issued.key.overlap_ends_at - timedelta(milliseconds=200)
        with pytest.raises(AssertionError, match="too late"):
            proof.assert_refused(since=too_early)


@pytest.mark.django_db(transaction=True)
def test_fault_does_not_pass_for_a_refusal(two_processes):
    issued = make_key()

    with two_processes.hammering("/faulty/", issued, settings=VIEWS) as proof:
        keys.revoke(issued.key, reason="leaked")
        with pytest.raises(AssertionError, match=r"neither admitted nor refused: \{'500': 20\}"):
            proof.assert_refused()


@pytest.mark.django_db(transaction=True)
def test_refusal_of_a_key_that_never_worked_proves_nothing(two_processes):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    with (
        pytest.raises(AssertionError, match="not admitted before the change: 401 key_revoked"),
        two_processes.hammering("/reads/", issued, settings=VIEWS),
    ):
        pass


@pytest.mark.django_db
def test_rows_that_the_workers_can_not_see_are_refused(two_processes):
    with (
        pytest.raises(RuntimeError, match=r"django_db\(transaction=True\)"),
        two_processes.hammering("/reads/", make_key(), settings=VIEWS),
    ):
        pass


@pytest.mark.django_db(transaction=True)
def test_round_without_an_end_leaves_the_workers_ready_for_the_next(two_processes):
    for _ in range(2):
        with two_processes.hammering("/reads/", make_key(), settings=VIEWS) as proof:
            pass
    with pytest.raises(RuntimeError, match="over"):
        proof.finish()


@pytest.mark.django_db(transaction=True)
def test_plaintext_is_where_no_other_process_reads_it(two_processes):
    issued = make_key()

    with two_processes.hammering("/reads/", issued, settings=VIEWS):
        shown = children()

    assert len([text for text in shown.values() if b"apikeys.testing.worker" in text]) >= 2
    assert not [pid for pid, text in shown.items() if issued.plaintext.rpartition("_")[2].encode() in text]


@pytest.mark.django_db(transaction=True)
def test_server_that_runs_is_hammered_over_http(two_processes, live_server, settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_HTTPS": False}
    issued = make_key()

    with two_processes.hammering(f"{live_server.url}/apikeys/whoami/?page=1", issued) as proof:
        keys.revoke(issued.key, reason="leaked")
        figures = proof.assert_refused()

    assert set(figures.answers) == {"401 key_revoked"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "timeout_seconds", "error"),
    [
        # A busy machine takes its time to end it.
        pytest.param("/dying/", 30, "RuntimeError: A worker ended with 7; its standard error says why.", id="dead"),
        pytest.param("/silent/", 1, "TimeoutError: 1 of 1 workers were silent for too long", id="silent"),
    ],
)
def test_worker_that_is_lost_ends_the_proof_and_leaves_no_process(path, timeout_seconds, error):
    before = children().keys()
    issued = make_key()

    with (
        pytest.raises((RuntimeError, TimeoutError)) as raised,
        hammering(path, issued, workers=1, settings=VIEWS, timeout_seconds=timeout_seconds) as proof,
    ):
        proof.finish()

    assert f"{raised.type.__name__}: {raised.value}" == error
    assert children().keys() <= before


@pytest.mark.django_db(transaction=True)
def test_settings_that_a_worker_can_not_use_are_told(two_processes):
    with (
        pytest.raises(RuntimeError, match="A worker gave up: ModuleNotFoundError"),
        hammering("/reads/", make_key(), workers=1, settings={"ROOT_URLCONF": "no.such.module"}),
    ):
        pass


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_example_of_the_how_to_holds():
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs/how-to/test-your-api.md", "python"):
        exec(block, names)  # noqa: S102  # the documents' own code

    names["test_a_leaked_key_is_dead_everywhere"]()
