"""The native core's objects in wrong hands: an error of Python, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from asyncdsm.core.edge import Edge
from asyncdsm.core.implementation import load_native

native, _ = load_native({})

NO_POINT = """
from asyncdsm.core import checkpoint
from asyncdsm.core.aggregator import Aggregator
aggregator = Aggregator("service", None)
checkpoint.set_recorder(aggregator)
empty = checkpoint.PendingProduce()
checkpoint.finish_produce(empty)
assert (aggregator.stats().recorded, aggregator.stats().errors) == (0, 1), aggregator.stats()
try:
    empty.pathway
except AttributeError as error:
    print(error)
"""

SECOND_IMPORT = """
import sys
from asyncdsm.core import implementation
print(implementation.WHY_PLAIN)
for name in [name for name in sys.modules if name.split(".")[0] == "asyncdsm"]:
    del sys.modules[name]
from asyncdsm.core import checkpoint, current, implementation
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
checkpoint.set_recorder(Aggregator("service", None))
print(checkpoint.consume(Edge("a:b")) == current.current_pathway() != None)
print(implementation.WHY_PLAIN)
"""


def lines_of(program: str) -> list[str]:
    """Run a program on the native core; return the lines that it prints."""
    environ = os.environ | {"ASYNCDSM_PURE": ""}
    done = subprocess.run([sys.executable, "-c", program], check=True, env=environ, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["Point", "Bucket", "Buckets", "PointEncoder"])
def test_object_cannot_be_made_without_its_parts(name: str) -> None:
    kind = getattr(native, name)
    with pytest.raises(TypeError, match="takes"):
        kind.__new__(kind)


def test_point_cannot_be_moved_to_another_edge() -> None:
    edge = native.Edge("a:b")
    point = edge.add_point(native.Point(edge, 1, 2))
    point.__init__(native.Edge("c:d"), 3, 4)
    assert (point.edge, point.hash, point.parent) == (edge, 1, 2)
    del point
    assert edge.points == {}


def test_edge_does_not_take_the_point_of_another_edge() -> None:
    edge = native.Edge("a:b")
    with pytest.raises(ValueError, match="another edge"):
        edge.add_point(native.Point(native.Edge("a:b"), 1, 2))
    assert edge.points == {}


def test_idle_points_are_not_looked_for_in_what_is_no_bucket() -> None:
    buckets: Any = native.Buckets(10, 5)
    with pytest.raises(TypeError, match="Bucket"):
        buckets.forget_idle([Edge("a:b")], lambda: None)


def test_point_whose_tags_are_not_encoded_as_bytes_is_lost() -> None:
    buckets = native.Buckets(10, 5)
    edge = native.Edge("a:b")
    point = native.Point(edge, 1, 2)
    buckets.admit(point)
    buckets.count_checkpoint(point, 5, 1, 1, None)
    encoder = native.PointEncoder(buckets.take(None)[0], lambda _: None)
    assert (encoder.encode_some(), encoder.encode_some()) == (b"", None)
    assert [type(error) for error in encoder.errors] == [TypeError]
    assert (encoder.lost, encoder.encoded) == (1, 0)


def test_number_of_points_to_encode_at_once_may_be_any() -> None:
    buckets = native.Buckets(10, 5)
    edge = native.Edge("a:b")
    for parent in range(3):
        point = native.Point(edge, 1, parent)
        buckets.admit(point)
        buckets.count_checkpoint(point, 5, 1, 1, None)
    encoder = native.PointEncoder(buckets.take(None)[0], lambda _: b"\x90")
    encoder.points_at_once = 1
    encoder.encode_some()
    encoder.points_at_once = sys.maxsize
    encoder.encode_some()
    assert encoder.encoded == 3


def test_empty_pending_produce_has_no_pathway_and_is_not_counted() -> None:
    assert lines_of(NO_POINT) == ["'NoneType' object has no attribute 'hash'"]


def test_second_import_in_a_process_gets_the_plain_core() -> None:
    """The native one would go on with the first import's current pathway, which nobody else sees."""
    assert lines_of(SECOND_IMPORT) == ["None", "True", "the native one belongs to an earlier import of asyncdsm"]
