"""A cluster of several servers of Redis or Valkey, each with a share of the hash slots, which are killed one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from redis import Redis

from tests.brokers.process import BrokerError, free_port, memory
from tests.brokers.redis import PATIENCE, RedisServer

SLOTS = 16_384


@dataclass(frozen=True)
class RedisCluster:
    """A running cluster: its servers, in the order of their slots. There are no replicas."""

    servers: list[RedisServer]

    @property
    def url(self) -> str:
        """The address of one of them, which tells a client the others."""
        return self.servers[0].url

    def server_of(self, slot: int) -> RedisServer:
        """Return the server that was given a slot at the beginning."""
        return self.servers[slot * len(self.servers) // SLOTS]

    def move_slot(self, slot: int, key: str, *, to: int) -> None:
        """Move a slot, and the only key in it, from the server that has it to another one."""
        clients: list[Any] = [Redis(port=server.port) for server in self.servers]
        ids = [_ask(client, "MYID").decode() for client in clients]
        source = next(number for number, client in enumerate(clients) if _ask(client, "COUNTKEYSINSLOT", slot))
        _ask(clients[to], "SETSLOT", slot, "IMPORTING", ids[source])
        _ask(clients[source], "SETSLOT", slot, "MIGRATING", ids[to])
        clients[source].execute_command("MIGRATE", "127.0.0.1", self.servers[to].port, key, 0, 5_000)
        for client in (clients[to], clients[source]):
            _ask(client, "SETSLOT", slot, "NODE", ids[to])
        for client in clients:
            client.close()


@contextmanager
def redis_cluster(program: str, servers: int = 3) -> Iterator[RedisCluster]:
    """Run a cluster for as long as the block lasts. What a server that is gone has not, the others still serve."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder, ExitStack() as ending:
        buses = [free_port() for _ in range(servers)]
        cluster = RedisCluster([_make_node(program, f"{folder}/{bus}", bus) for bus in buses])
        for server in cluster.servers:
            ending.callback(server.kill)
            server.start()
        _join(cluster, buses)
        yield cluster


def _make_node(program: str, folder: str, bus: int) -> RedisServer:
    Path(folder).mkdir()
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-require-full-coverage", "no"]
    return RedisServer(program, folder, *options)


def _join(cluster: RedisCluster, buses: list[int]) -> None:
    """Give each server its slots, let the first one meet the others, and wait until each knows who has which slots."""
    clients = [Redis(port=server.port) for server in cluster.servers]
    bounds = [-(-SLOTS * number // len(clients)) for number in range(len(clients) + 1)]
    for number, client in enumerate(clients):
        _ask(client, "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        _ask(client, "SET-CONFIG-EPOCH", number + 1)
        _ask(clients[0], "MEET", "127.0.0.1", cluster.servers[number].port, buses[number])
    deadline = monotonic() + PATIENCE
    for client in clients:
        while not (f"cluster_slots_ok:{SLOTS}" in (told := str(_ask(client, "INFO"))) and "cluster_state:ok" in told):
            if monotonic() > deadline:
                raise BrokerError(f"the servers of a cluster do not find each other within {PATIENCE} s: {told}")
            sleep(0.01)
        client.close()


def _ask(client: Any, *command: Any) -> Any:
    return client.execute_command("CLUSTER", *command)
