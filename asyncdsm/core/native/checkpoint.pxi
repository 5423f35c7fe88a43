# The checkpoints. See `core/plain_checkpoint.py`.

from asyncdsm.core import current as currents

cdef extern from "Python.h":
    Py_ssize_t PySet_GET_SIZE(object)

# Variables of C: to look up a name of the module takes longer.
cdef object current_context = currents.current_context
cdef object consume_layers = currents.consume_layers

cdef int64_t LATEST_AHEAD_NS = contexts.LATEST_AHEAD_NS
cdef int64_t NO_TIME = INT64_MIN


@cython.final
cdef class Sink:
    """A recorder, and what the hot path needs of it, read once.

    A checkpoint keeps the one that it began with: what calls Python code lets another thread set another recorder.
    """

    cdef object recorder
    cdef uint64_t id
    cdef int64_t max_header_bytes
    cdef object clock  # None if it is the system's
    cdef Buckets buckets  # None if the recorder is no aggregator

    def __cinit__(self, recorder):
        self.recorder = recorder
        self.id = recorder.id
        self.max_header_bytes = recorder.max_header_bytes
        self.clock = other_clock(recorder.now)
        self.buckets = getattr(recorder, "buckets", None)

    cdef inline int64_t now(self) except? -1:
        return read_system_clock() if self.clock is None else self.clock()


cdef Sink sink = None
cdef object start_recorder = None
cdef object checkpoint_hook = None


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class PendingProduce:
    """The checkpoint of a message that is about to be produced."""

    cdef readonly bytes header
    cdef public object size
    cdef Point point
    cdef int64_t pathway_start_ns, now, previous_ns

    @property
    @cython.nonecheck(True)  # a program may make an empty one
    def pathway(self):
        """The pathway of the message."""
        return make_pathway(self.point.hash, self.pathway_start_ns, self.now)


def consume(Edge edge not None, header=None, size=None, broker_ns=None):
    """Record that a message was consumed, make its pathway the current one, and return it."""
    cdef Sink own = find_sink()
    if own is None or (PySet_GET_SIZE(consume_layers) and currents.is_consume_suppressed()):
        return None
    cdef int64_t now = own.now()
    cdef Context context
    cdef int malformed = read_context(own, header, broker_ns, now, &context)
    if malformed:
        own.recorder.counters.increment("malformed", malformed)
    cdef Point point = find_point(own, edge, context.hash)
    if point is None:
        point = own.recorder.find_consume_point(edge, context.hash)
        if point.parent != context.hash:  # the pathway went in circles: another one starts
            context.pathway_start_ns = context.edge_start_ns
    record(own, point, now, now - context.edge_start_ns, now - context.pathway_start_ns, size)
    cdef Pathway pathway = make_pathway(point.hash, context.pathway_start_ns, now)
    PyContextVar_Set(current_context, pathway)
    if checkpoint_hook is not None:
        checkpoint_hook(point, now, now - context.edge_start_ns)
    return pathway


def begin_produce(Edge edge not None, size=None, key_bytes=None):
    """Return the checkpoint of a message that is about to be produced, with the header to put on it."""
    cdef Sink own = find_sink()
    if own is None:
        return None
    cdef Context context
    if not read_current(&context):
        return None
    cdef int64_t now = own.now()
    if context.edge_start_ns == NO_TIME:
        context.pathway_start_ns = context.edge_start_ns = now
    cdef Point point = find_point(own, edge, context.hash)
    if point is None:
        point = own.recorder.find_produce_point(edge, context.hash)
    cdef PendingProduce pending = PendingProduce.__new__(PendingProduce)
    pending.header = encode_header(point.hash, context.pathway_start_ns, now)
    pending.point = point
    pending.pathway_start_ns = context.pathway_start_ns
    pending.now = now
    pending.previous_ns = context.edge_start_ns
    if size is None or key_bytes is None:
        pending.size = size
    else:
        pending.size = size + key_bytes + len(pending.header)
    if checkpoint_hook is not None:
        checkpoint_hook(point, now, now - context.edge_start_ns)
    return pending


def finish_produce(PendingProduce pending not None):
    """Count a checkpoint that `begin_produce` made. Never raises, since the message is on its way."""
    cdef Sink own = sink
    if own is None:
        return
    cdef int64_t now = pending.now
    try:
        record(own, pending.point, now, now - pending.previous_ns, now - pending.pathway_start_ns, pending.size)
    except Exception as error:
        report_hook_error(error)


def incoming_pathway(header, broker_ns=None):
    """Return the pathway that a message carries, and record nothing. None while nothing measures."""
    cdef Sink own = find_sink()
    if own is None:
        return None
    cdef Context context
    read_context(own, header, broker_ns, own.now(), &context)
    return make_pathway(context.hash, context.pathway_start_ns, context.edge_start_ns)


def peek_consume(Edge edge not None, header, broker_ns=None):
    """Return the pathway that `consume` would make current, and record nothing. None while nothing measures."""
    cdef Sink own = find_sink()
    if own is None:
        return None
    cdef int64_t now = own.now()
    cdef Context context
    read_context(own, header, broker_ns, now, &context)
    cdef Point point = own.recorder.point(edge, context.hash)
    return make_pathway(point.hash, context.pathway_start_ns, now)


def record_not_propagated():
    """Count a produced message that could not carry its context."""
    recorder = current_recorder()
    if recorder is not None:
        recorder.counters.increment("not_propagated")


def report_hook_error(error):
    """Keep an error of asyncdsm from the program: it is counted, and logged once a minute. Under test it is raised."""
    from asyncdsm.core.recorder import report_hook_error as report
    report(current_recorder(), error)


def ensure_recorder():
    """Return what takes the checkpoints. A DataStreams that waits for the first one starts, perhaps with a thread."""
    return current_recorder() if sink is not None or start_recorder is None else start_recorder()


def current_recorder():
    """Return what takes the checkpoints, and start nothing."""
    return None if sink is None else sink.recorder


def set_recorder(new, start=None):
    """Let checkpoints go to `new`. With None, `start` is called for one at the next checkpoint."""
    global sink, start_recorder
    sink, start_recorder = None if new is None else Sink(new), start


def set_checkpoint_hook(hook):
    """Have `hook(point, now, edge_ns)` called at each checkpoint; None for no hook, which is free. It must not raise."""
    global checkpoint_hook
    checkpoint_hook = hook


cdef inline Sink find_sink():
    """Return what takes the checkpoints, now that it may have been started."""
    if sink is None and start_recorder is not None:
        start_recorder()  # it calls `set_recorder`
    return sink


cdef inline Point find_point(Sink own, Edge edge, uint64_t parent):
    cdef void *point = points_find(&edge.table, parent) if edge.owner == own.id else NULL
    return None if point == NULL else <Point> point


cdef inline int record(
    Sink own, Point point, int64_t now, int64_t edge_ns, int64_t pathway_ns, object size
) except -1:
    if own.buckets is None:
        own.recorder.record(point, now, edge_ns, pathway_ns, size)
    else:
        own.buckets.count(point, now, edge_ns, pathway_ns, size)
    return 0


cdef int read_context(Sink own, object header, object broker_ns, int64_t now, Context *context) except -1:
    """Read the context of a header, or begin one. Return how many of the two values cannot be used."""
    cdef int malformed = 0
    if header is not None:
        if decode_header(header, own.max_header_bytes, context) and context.edge_start_ns <= now + LATEST_AHEAD_NS:
            return 0
        malformed += 1
    cdef int overflow = 0
    cdef int64_t start = 0
    if PyLong_CheckExact(broker_ns):
        start = PyLong_AsLongLongAndOverflow(broker_ns, &overflow)
    elif broker_ns is not None:
        malformed += 1
    if overflow or not 0 < start <= now + LATEST_AHEAD_NS:
        start = now
    context.hash = 0
    context.pathway_start_ns = context.edge_start_ns = start
    return malformed


cdef int read_current(Context *context) except -1:
    """Read the current pathway: its times are NO_TIME if there is none. Return 0 if a layer above counts what is produced.
    """
    cdef object current
    cdef PyObject *value = NULL
    PyContextVar_Get(current_context, NULL, &value)
    current = <object> value
    Py_DECREF(current)  # PyContextVar_Get gave a reference
    if current is not None and type(current) is not Pathway:
        current = currents.skip_closed_layers(current)
        if isinstance(current, currents.Layer):
            return 0
    if current is None:
        context.hash, context.pathway_start_ns, context.edge_start_ns = 0, NO_TIME, NO_TIME
    else:
        context.hash = (<Pathway?> current).hash
        context.pathway_start_ns = (<Pathway> current).pathway_start_ns
        context.edge_start_ns = (<Pathway> current).edge_start_ns
    return 1
