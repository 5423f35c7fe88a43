"""What users get for their tests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from asyncdsm import AlreadyRunningError
from asyncdsm.testing import Captured, ManualClock, capture

USERS_TEST = """
import asyncdsm

def billing(order, send):
    asyncdsm.set_consume_checkpoint("kafka", "orders", order.get)
    send("invoices", {})

def test_invoice_has_the_pathway_of_its_order(captured_streams, manual_clock):
    order = {}
    asyncdsm.set_produce_checkpoint("kafka", "orders", order.__setitem__)
    manual_clock.advance(2)
    billing(order, lambda topic, message: asyncdsm.set_produce_checkpoint("kafka", topic, message.__setitem__))
    (consumed,), (invoice,) = captured_streams.consumed("orders"), captured_streams.produced("invoices")
    assert invoice.follows(consumed)
    assert consumed.follows(captured_streams.produced("orders")[0])
    assert (consumed.edge_latency, invoice.pathway_latency) == (2.0, 2.0)
"""


def test_test_of_a_user_gets_the_fixtures(pytester_path: pytest.TempPathFactory) -> None:
    folder = pytester_path.mktemp("users")
    (folder / "test_billing.py").write_text(USERS_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:ddtrace", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


@pytest.fixture
def pytester_path(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


def test_second_capture_is_a_clear_error(captured_streams: Captured) -> None:
    with pytest.raises(AlreadyRunningError), capture():
        pass


def test_manual_clock_moves_only_when_advanced(manual_clock: ManualClock, captured_streams: Captured) -> None:
    assert captured_streams.now() == captured_streams.now()


def test_plugin_without_a_fixture_in_use_imports_nothing() -> None:
    code = "import sys, asyncdsm.pytest_plugin; print('asyncdsm.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
