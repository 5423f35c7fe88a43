"""Where a task runs: in the process that consumed it or in a child, in a thread or a greenlet, at once or later.

The consuming process counts the message, and puts the pathway behind that checkpoint into the task's request, which
goes wherever the task runs. There it is made current for the task, and for what Celery publishes on its behalf.
By Celery's signals alone: nothing of its worker is imported before there is one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from asyncdsm_kombu.consume import recall
from asyncdsm_kombu.followed import follow as follow_connection
from asyncdsm_kombu.followed import follows_all
from celery import signals
from celery.app.task import Context

from asyncdsm.core import checkpoint, current
from asyncdsm.core import pathway as pathways
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER, Pathway
from asyncdsm.integration.hooks import Hooks, after
from asyncdsm.integration.lifetime import close_before_exit

_wrapped: WeakSet[Any] = WeakSet()


def listen() -> None:
    """Have Celery tell us of tasks, and of processes that end; once, however often it is called.

    A task's `request.headers` are the message's headers, but for names that its class has: so it gets ours, and a task
    without headers of the user's own sees None there as ever.
    """
    for signal, receiver in _RECEIVERS:
        signal.connect(receiver, weak=False, dispatch_uid=__name__)
    if not hasattr(Context, HEADER):
        setattr(Context, HEADER, None)


def listen_no_more() -> None:
    """Undo it."""
    for signal, _ in _RECEIVERS:
        signal.disconnect(dispatch_uid=__name__)
    if HEADER in vars(Context):
        delattr(Context, HEADER)


def follow(app: Any, hooks: Hooks) -> None:
    """Follow the tasks of one app, and the connections that it makes from here on."""
    _wrapped.add(app)
    hooks.put(app, "_connection", _connection)


def followed_one_by_one() -> bool:
    """Say whether an app lives that was wrapped."""
    return bool(_wrapped)


def pathway_of(request: Any) -> pathways.Context | None:
    """Return the pathway of `task.request`, of a task that a worker has; None for anything else."""
    header = request.get(HEADER) if type(request).__module__ == "celery.app.task" and hasattr(request, "get") else None
    return None if header is None else checkpoint.incoming_pathway(header)


@after
def _connection(made: Any, *_args: Any, **_more: Any) -> None:
    """Observe the `_connection` of an app, which makes all of its connections."""
    follow_connection(made)


def _received(request: Any, **_: Any) -> None:
    """Put the pathway into the request's own copy of the headers, in the place of the context that came."""
    try:
        pathway = recall(request.message)
        if pathway is not None:
            request.request_dict[HEADER] = Pathway(*pathway).encode_base64()
    except Exception as error:
        report_hook_error(error)


def _begins(task: Any, **_: Any) -> None:
    try:
        if _is_delivered(task):
            current.set_current(pathway_of(task.request))
    except Exception as error:
        current.set_current(None)
        report_hook_error(error)


def _ended(task: Any, **_: Any) -> None:
    try:
        if _is_delivered(task):
            current.set_current(None)
    except Exception as error:
        report_hook_error(error)


def _process_ends(**_: Any) -> None:
    """A worker's child leaves by `os._exit`, which runs no exit hooks."""
    try:
        close_before_exit()
    except Exception as error:
        report_hook_error(error)


def _is_delivered(task: Any) -> bool:
    """Say whether a task of a followed app came as a message; an eager one goes on with its caller's pathway."""
    return (follows_all() or task.app in _wrapped) and not task.request.is_eager


_RECEIVERS = (
    (signals.task_received, _received),
    (signals.task_prerun, _begins),
    (signals.task_postrun, _ended),
    (signals.worker_process_shutdown, _process_ends),
)
