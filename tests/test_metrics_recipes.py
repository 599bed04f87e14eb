from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY, generate_latest

from apikeys import keys
from apikeys.signals import credential_refused, request_counted
from apikeys.testing import make_key

from .documents import ROOT, blocks
from .request_path import whoami

pytestmark = pytest.mark.django_db

PAGE = ROOT / "docs" / "how-to" / "export-metrics.md"


def run(block):
    """Run a recipe of the page as it stands, and take its receivers away again."""
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  # the document's own code
    yield names
    request_counted.disconnect(names["count_request"])
    credential_refused.disconnect(names["count_refusal"])


@pytest.fixture
def prometheus():
    recipe = blocks(PAGE, "python")[0]
    for names in run(recipe):
        yield
        for each in ("REQUESTS", "SECONDS", "REFUSALS"):
            REGISTRY.unregister(names[each])


@pytest.fixture(scope="module")
def reader():
    reader = InMemoryMetricReader()
    # Once per process: OpenTelemetry takes no second one.
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


@pytest.fixture
def opentelemetry(reader):
    yield from (reader for _ in run(blocks(PAGE, "python")[1]))


@pytest.fixture
def used():
    """Three requests of a client, of which one is refused by the view, and one with a dead key."""
    issued = make_key()
    for _ in range(2):
        assert whoami(issued).status_code == 200
    assert whoami(issued, REQUEST_METHOD="DELETE").status_code == 405
    keys.revoke(issued.key, reason="leaked")
    assert whoami(issued).status_code == 401
    return issued


@pytest.mark.parametrize("recipe", blocks(PAGE, "python"), ids=["prometheus", "opentelemetry"])
def test_a_recipe_is_short(recipe):
    assert len([line for line in recipe.splitlines() if line.strip()]) <= 20


def test_prometheus_exports_requests_by_client_and_result(prometheus, used):
    labels = {"client_id": used.key.client.client_id}

    assert REGISTRY.get_sample_value("apikeys_requests_total", {**labels, "outcome": "ok"}) == 2
    assert REGISTRY.get_sample_value("apikeys_requests_total", {**labels, "outcome": "405"}) == 1
    assert REGISTRY.get_sample_value("apikeys_request_seconds_count", {"outcome": "ok"}) == 2
    assert 0 < REGISTRY.get_sample_value("apikeys_request_seconds_sum", {"outcome": "ok"}) < 60
    assert REGISTRY.get_sample_value("apikeys_refusals_total", {"code": "key_revoked"}) == 1


def test_prometheus_exports_nothing_of_a_key(prometheus, used):
    exported = generate_latest().decode()

    assert used.key.client.client_id in exported
    assert used.key.key_id not in exported
    assert used.plaintext[-20:] not in exported


def points(reader):
    """Return the exported points: ``{(metric, labels): point}``."""
    found = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    found[metric.name, tuple(sorted(point.attributes.items()))] = point
    return found


def test_opentelemetry_exports_requests_by_client_and_result(opentelemetry, used):
    found = points(opentelemetry)

    client = ("client_id", used.key.client.client_id)
    assert found["apikeys.requests", (client, ("outcome", "ok"))].value == 2
    assert found["apikeys.requests", (client, ("outcome", "405"))].value == 1
    assert found["apikeys.request.duration", (("outcome", "ok"),)].count >= 2
    assert found["apikeys.refusals", (("code", "key_revoked"),)].value >= 1
    assert used.key.key_id not in repr(found)
