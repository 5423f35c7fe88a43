"""What the agent answers about the versions of a service, side by side.

Like `asyncdsm.map.topology`, these structs describe JSON, and OpenAPI and the page's types are generated from them.
"""

from __future__ import annotations

from msgspec import Struct, field

from asyncdsm.map.topology import Amount, LeftOut, Quantiles, Share


class VersionNumbers(Struct, frozen=True, gc=False, kw_only=True):
    """What passed a service, or one of its edges, while one version reported, or while several did together.

    `versions` has the one that began first first; it is empty for what was reported without a version. Times are in
    seconds since the epoch, and are those in the range that was asked for. `count` are the messages that were received,
    or, if none are, those that were sent. `end_to_end` is up to where the service sends messages on, or, if it sends
    none, up to where it receives them. Shares are those of received messages, in whole minutes; null where none is
    whole, or where the service does not say it. `compared_with` is the version that reported alone before, and
    `differences` say in words what is different since: none if the two have not enough messages, or are alike.
    """

    versions: list[str]
    from_: float = field(name="from")
    to: float
    count: Amount
    rate: Amount
    time_in_queue: Quantiles
    time_in_service: Quantiles
    end_to_end: Quantiles
    redelivered_share: Share | None
    dead_lettered_share: Share | None
    compared_with: str | None
    differences: list[str]


class EdgeVersions(Struct, frozen=True, gc=False, kw_only=True):
    """The versions of a service on one of its edges, in the order of time."""

    edge: str
    direction: str
    type: str
    cluster: str | None
    queue: str
    group: str | None
    versions: list[VersionNumbers]


class ServiceVersions(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The versions of a service in the order of time: in all, and on each of its edges, the busiest first."""

    service: str
    env: str
    versions: list[VersionNumbers]
    edges: list[EdgeVersions]
    cut: LeftOut = {}
