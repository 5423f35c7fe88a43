"""The example on Event Hubs: a reading, its alarm, and back to the sensors are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.azure import azure_server
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

MODULE = "examples.clients.eventhub_alarms"
READINGS = 20
"""How many the example sends."""


def test_eventhub_example_sends_an_alarm_for_each_reading(agent: RunningAgent) -> None:
    with azure_server("eventhubs") as server:
        environ = {"EVENTHUBS": server.connection_string}
        with (
            running_example(agent, "-m", MODULE, "watch", DD_SERVICE="watch", **environ) as watch,
            running_example(agent, "-m", MODULE, "sensors", DD_SERVICE="sensors", **environ) as sensors,
        ):
            assert (sensors.wait(PATIENCE), watch.wait(PATIENCE)) == (0, 0)
            wait_until(lambda: has_counted(agent, in_=2 * READINGS, out=2 * READINGS), sensors)
    shown = read_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert counts == {
        ("sensors", "readings", "out"): READINGS,
        ("watch", "readings", "in"): READINGS,
        ("watch", "alarms", "out"): READINGS,
        ("sensors", "alarms", "in"): READINGS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    assert len(parents) == 4
    assert set(parents.values()) - {"0"} <= set(parents)
