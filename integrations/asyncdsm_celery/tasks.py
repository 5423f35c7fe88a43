"""The pathway of a task, wherever it runs: in the process that consumed it or a child, a thread or a greenlet.

The consuming process counts the message, and puts the pathway after that checkpoint into the task's request, which
goes wherever the task runs. There it is current for the task, and for what Celery publishes on the task's behalf.
All of it is done by Celery's signals, so nothing of its worker is imported before there is one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from asyncdsm_kombu.consume import find_pathway
from asyncdsm_kombu.tracking import follow_connection, follows_all
from celery import signals
from celery.app.task import Context as Request

from asyncdsm.integration import (
    HEADER,
    Hooks,
    Pathway,
    after,
    close_before_exit,
    guarded,
    incoming_pathway,
    report_hook_error,
    set_current,
)

_wrapped: WeakSet[Any] = WeakSet()


def connect_signals() -> None:
    """Receive Celery's signals about tasks and ending processes; calling it again changes nothing.

    The `headers` of a task's request are the message's headers without those that the request's class has as
    attributes. The class gets one for the context, so that a task without headers of its own still sees None.
    """
    for signal, receiver in _RECEIVERS:
        signal.connect(receiver, weak=False, dispatch_uid=__name__)
    if not hasattr(Request, HEADER):
        setattr(Request, HEADER, None)


def disconnect_signals() -> None:
    """Undo `connect_signals`."""
    for signal, _ in _RECEIVERS:
        signal.disconnect(dispatch_uid=__name__)
    if HEADER in vars(Request):
        delattr(Request, HEADER)


def follow_app(app: Any, hooks: Hooks) -> None:
    """Follow the tasks of one app, and the connections that it makes from now on."""
    _wrapped.add(app)
    hooks.put(app, "_connection", hook_connection)


def is_any_app_wrapped() -> bool:
    """Say whether an app is alive that was wrapped."""
    return bool(_wrapped)


def read_request_pathway(request: Any) -> Pathway | None:
    """Return the pathway of `task.request`, of a task that a worker has; None for anything else."""
    is_request = type(request).__module__ == "celery.app.task" and hasattr(request, "get")
    header = request.get(HEADER) if is_request else None
    return None if header is None else incoming_pathway(header)


@after
def hook_connection(made: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe the `_connection` of an app, which makes all of its connections."""
    follow_connection(made)


@guarded
def pass_pathway_on(request: Any, **_: Any) -> None:
    """Put the pathway into the request's own copy of the headers, in the place of the context that the message had."""
    pathway = find_pathway(request.message)
    if pathway is not None:
        request.request_dict[HEADER] = pathway.encode_base64()


def make_task_current(task: Any, **_: Any) -> None:
    """Make the pathway of a task current that is about to run."""
    try:
        if _is_delivered(task):
            set_current(read_request_pathway(task.request))
    except Exception as error:
        set_current(None)
        report_hook_error(error)


@guarded
def clear_after_task(task: Any, **_: Any) -> None:
    """Let no pathway be current after a task."""
    if _is_delivered(task):
        set_current(None)


@guarded
def finish_worker_process(**_: Any) -> None:
    """Deliver what a worker's child has recorded: it ends by `os._exit`, which runs no exit hooks."""
    close_before_exit()


def _is_delivered(task: Any) -> bool:
    """Say whether a task of a followed app came as a message. An eager task continues its caller's pathway."""
    return (follows_all() or task.app in _wrapped) and not task.request.is_eager


_RECEIVERS = (
    (signals.task_received, pass_pathway_on),
    (signals.task_prerun, make_task_current),
    (signals.task_postrun, clear_after_task),
    (signals.worker_process_shutdown, finish_worker_process),
)
