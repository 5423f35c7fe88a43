# The buckets that are being filled, and the points that are counted in them. See `core/plain/buckets.py`.

from asyncdsm.core.plain.buckets import Tallies

cdef extern from "Python.h":
    bint PyLong_Check(object)
    bint PyLong_CheckExact(object)
    long long PyLong_AsLongLongAndOverflow(object, int *overflow) except? -1

cdef Py_ssize_t POINTS_BETWEEN_PAUSES = 4096


@cython.final
@cython.no_gc
cdef class Buckets:
    """Counts checkpoints; gives out finished buckets."""

    cdef readonly int64_t bucket_ns
    cdef readonly int64_t max_points
    cdef dict buckets
    cdef Bucket current
    cdef PyObject **alive  # owned
    cdef Py_ssize_t living, capacity
    cdef int64_t counted, refused, malformed, refused_offsets

    def __cinit__(self, int64_t bucket_ns, int64_t max_points):
        self.bucket_ns = bucket_ns
        self.max_points = max_points
        self.buckets = {}

    def __dealloc__(self):
        for i in range(self.living):
            Py_DECREF(<object> self.alive[i])
        free(self.alive)

    def admit(self, Point point not None):
        """Keep a point and count its checkpoints, if there is room. Say whether there is."""
        cdef PyObject **grown
        if self.living < self.max_points:
            if self.living == self.capacity:
                capacity = max(16, 2 * self.capacity)
                grown = <PyObject **> realloc(self.alive, capacity * sizeof(PyObject *))
                if grown == NULL:
                    raise MemoryError
                self.alive, self.capacity = grown, capacity
            Py_INCREF(point)
            self.alive[self.living] = <PyObject *> point
            self.living += 1
            point.is_admitted = True
        return point.is_admitted

    def count_checkpoint(self, Point point not None, int64_t now, int64_t edge_ns, int64_t pathway_ns, size):
        """Count a checkpoint: its time, edge latency and pathway latency in ns, its size in bytes if that is known."""
        self.count(point, now, edge_ns, pathway_ns, size)

    @cython.nonecheck(True)  # an empty PendingProduce has no point
    cdef inline int count(
        self, Point point, int64_t now, int64_t edge_ns, int64_t pathway_ns, object size
    ) except -1:
        cdef Bucket bucket = self.current
        if bucket is None or not bucket.start_ns <= now < bucket.start_ns + self.bucket_ns:
            bucket = self.current = self.bucket_at(now)
        if not point.is_admitted:
            self.refused += 1
            return 0
        bucket.count(point, edge_ns, pathway_ns, UNKNOWN_SIZE if size is None else self.read_size(size))
        self.counted += 1
        return 0

    cdef int64_t read_size(self, object size) except -2:
        """Return a size in bytes. One that is not a whole number or negative is unknown, and counted as malformed."""
        cdef int overflow = 0
        cdef int64_t known = PyLong_AsLongLongAndOverflow(size, &overflow) if PyLong_Check(size) else UNKNOWN_SIZE
        if overflow > 0:
            return INT64_MAX
        if known < 0:
            self.malformed += 1
            return UNKNOWN_SIZE
        return known

    cdef Bucket bucket_at(self, int64_t now):
        # In C: a division of Python's numbers runs signal handlers, and so may a new object run finalizers. They count.
        cdef int64_t number = now // self.bucket_ns
        cdef int64_t start_ns = number * self.bucket_ns
        bucket = self.buckets.get(start_ns)
        return self.buckets.setdefault(start_ns, Bucket(start_ns, number & 1)) if bucket is None else bucket

    def record_offset(self, tuple tags, int64_t now, offset):
        """Keep an offset if it is the highest under its tags in the bucket of `now`."""
        cdef dict backlogs = self.bucket_at(now).backlogs
        if tags in backlogs or len(backlogs) < self.max_points:
            backlogs[tags] = max(offset, backlogs.get(tags, offset))
        else:
            self.refused_offsets += 1

    def take(self, before_ns):
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them."""
        ended = [start for start in list(self.buckets) if before_ns is None or self.has_ended(start, before_ns)]
        taken = [self.buckets.pop(start) for start in sorted(ended)]
        self.current = None  # last: each new list may start the garbage collector, and a finalizer may count
        return taken

    cdef bint has_ended(self, int64_t start_ns, int64_t now_ns):
        return not now_ns - self.bucket_ns < start_ns <= now_ns + self.bucket_ns

    def take_tallies(self):
        """Return the numbers since the last call."""
        cdef int64_t counted = self.counted, refused = self.refused
        cdef int64_t malformed = self.malformed, refused_offsets = self.refused_offsets
        # First: `Tallies` is Python code, and others count meanwhile.
        self.counted = self.refused = self.malformed = self.refused_offsets = 0
        return Tallies(counted, refused, malformed, refused_offsets)

    def forget_idle(self, taken, pause):
        """Forget the points that are neither in these buckets nor in one that is being filled."""
        cdef set used = {(<Bucket?> bucket).number for bucket in [*taken, *self.buckets.values()]}
        cdef uint64_t newest = last_bucket
        cdef Py_ssize_t i = self.living
        # Downwards: a point that moves into a gap was looked at already, or is counted in a bucket newer than this call.
        while i > 0:
            i -= 1
            if i % POINTS_BETWEEN_PAUSES == 0:
                pause()
            if i < self.living and not self.is_used(<Point> self.alive[i], used, newest):
                self.forget(i)

    cdef bint is_used(self, Point point, set used, uint64_t newest):
        cdef uint64_t one = point.counted_in[0], other = point.counted_in[1]
        return max(one, other) > newest or one in used or other in used

    cdef void forget(self, Py_ssize_t i):
        cdef Point point = <Point> self.alive[i]
        points_remove(&point.edge.table, point.parent, <void *> point)
        self.living -= 1
        self.alive[i] = self.alive[self.living]
        Py_DECREF(point)
