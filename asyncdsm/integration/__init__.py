"""The public namespace for authors of an integration: everything that one needs, and nothing else.

`docs/develop/integrations.md` shows a whole integration. What a user calls (`wrap`, `instrument`, `using`) is in
`asyncdsm` itself.
"""

TYPE_CHECKING = False  # as in `asyncdsm` itself: importing this package costs nothing
if TYPE_CHECKING:
    from asyncdsm._internal.log import warn_once
    from asyncdsm.core.checkpoint import (
        PendingProduce,
        begin_produce,
        consume,
        ensure_recorder,
        finish_produce,
        incoming_pathway,
        peek_consume,
        record_not_propagated,
        report_hook_error,
    )
    from asyncdsm.core.context import HEADER, LEGACY_HEADER
    from asyncdsm.core.current import (
        Layer,
        Snapshot,
        allow_nested_checkpoints,
        close_layer,
        current_pathway,
        is_consume_suppressed,
        is_context_taken_above,
        open_layer,
        restored,
        set_current,
        snapshot,
        suppress_nested_checkpoints,
    )
    from asyncdsm.core.edge import Edge, EdgeCache, make_in_edges, make_out_edges
    from asyncdsm.core.lag import Lag, LagSource, add_lag_source, remove_lag_source
    from asyncdsm.core.pathway import Pathway
    from asyncdsm.core.topic_names import TopicNames
    from asyncdsm.core.values import check_name, check_offset, check_partition, check_tags
    from asyncdsm.errors import MalformedValueError
    from asyncdsm.integration.base import Integration
    from asyncdsm.integration.batch import current_task, follow_batch, follow_batches
    from asyncdsm.integration.consumed_list import ConsumedList
    from asyncdsm.integration.facts import count_deliveries, note_schema
    from asyncdsm.integration.hooks import (
        Hook,
        Hooks,
        after,
        after_await,
        before,
        guarded,
        is_async,
        is_hook,
        look_up_in_class,
        mark_async,
        subclass_or_same,
    )
    from asyncdsm.integration.lifetime import close_before_exit, close_standby, start_standby, start_standby_async
    from asyncdsm.integration.pathway_cache import lookup_pathway, store_entry, store_pathway
    from asyncdsm.integration.receive import receive_async

__all__ = [
    "HEADER",
    "LEGACY_HEADER",
    "ConsumedList",
    "Edge",
    "EdgeCache",
    "Hook",
    "Hooks",
    "Integration",
    "Lag",
    "LagSource",
    "Layer",
    "MalformedValueError",
    "Pathway",
    "PendingProduce",
    "Snapshot",
    "TopicNames",
    "add_lag_source",
    "after",
    "after_await",
    "allow_nested_checkpoints",
    "before",
    "begin_produce",
    "check_name",
    "check_offset",
    "check_partition",
    "check_tags",
    "close_before_exit",
    "close_layer",
    "close_standby",
    "consume",
    "count_deliveries",
    "current_pathway",
    "current_task",
    "ensure_recorder",
    "finish_produce",
    "follow_batch",
    "follow_batches",
    "guarded",
    "incoming_pathway",
    "is_async",
    "is_consume_suppressed",
    "is_context_taken_above",
    "is_hook",
    "look_up_in_class",
    "lookup_pathway",
    "make_in_edges",
    "make_out_edges",
    "mark_async",
    "note_schema",
    "open_layer",
    "peek_consume",
    "receive_async",
    "record_not_propagated",
    "remove_lag_source",
    "report_hook_error",
    "restored",
    "set_current",
    "snapshot",
    "start_standby",
    "start_standby_async",
    "store_entry",
    "store_pathway",
    "subclass_or_same",
    "suppress_nested_checkpoints",
    "warn_once",
]

_HOMES = {
    "_internal.log": ("warn_once",),
    "core.checkpoint": (
        "PendingProduce",
        "begin_produce",
        "consume",
        "ensure_recorder",
        "finish_produce",
        "incoming_pathway",
        "peek_consume",
        "record_not_propagated",
        "report_hook_error",
    ),
    "core.context": (
        "HEADER",
        "LEGACY_HEADER",
    ),
    "core.current": (
        "Layer",
        "Snapshot",
        "allow_nested_checkpoints",
        "close_layer",
        "current_pathway",
        "is_consume_suppressed",
        "is_context_taken_above",
        "open_layer",
        "restored",
        "set_current",
        "snapshot",
        "suppress_nested_checkpoints",
    ),
    "core.edge": (
        "Edge",
        "EdgeCache",
        "make_in_edges",
        "make_out_edges",
    ),
    "core.lag": (
        "Lag",
        "LagSource",
        "add_lag_source",
        "remove_lag_source",
    ),
    "core.pathway": ("Pathway",),
    "core.topic_names": ("TopicNames",),
    "core.values": (
        "check_name",
        "check_offset",
        "check_partition",
        "check_tags",
    ),
    "errors": ("MalformedValueError",),
    "integration.base": ("Integration",),
    "integration.batch": (
        "current_task",
        "follow_batch",
        "follow_batches",
    ),
    "integration.consumed_list": ("ConsumedList",),
    "integration.facts": (
        "count_deliveries",
        "note_schema",
    ),
    "integration.hooks": (
        "Hook",
        "Hooks",
        "after",
        "after_await",
        "before",
        "guarded",
        "is_async",
        "is_hook",
        "look_up_in_class",
        "mark_async",
        "subclass_or_same",
    ),
    "integration.lifetime": (
        "close_before_exit",
        "close_standby",
        "start_standby",
        "start_standby_async",
    ),
    "integration.pathway_cache": (
        "lookup_pathway",
        "store_entry",
        "store_pathway",
    ),
    "integration.receive": ("receive_async",),
}
# The modules of the public names. Each is imported when one of its names is first asked for.


if not TYPE_CHECKING:  # a type checker knows the names, and that there are no others

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415

        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"asyncdsm.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
