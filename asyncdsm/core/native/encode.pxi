# Points of a finished bucket, encoded for a payload. See `delivery/points.py`.

from asyncdsm.core.histogram import GAMMA

cdef extern from "sketch.h":
    double SKETCH_GAMMA
    ctypedef struct Buffer:
        uint8_t *bytes
        size_t used, capacity
    ctypedef struct Row:
        uint64_t hash, parent
        const char *tags
        size_t tags_bytes
        const Bins *bins
    bint put_row(Buffer *buffer, const Row *row) nogil


SKETCH_GAMMA = GAMMA


@cython.final
cdef class PointEncoder:
    """Encodes the points of a bucket, some at a time. The GIL is held to look at them only."""

    cdef Bucket bucket
    cdef object encode_tags
    cdef Py_ssize_t next
    cdef readonly list errors
    cdef readonly int64_t lost
    cdef readonly Py_ssize_t encoded
    cdef public Py_ssize_t points_at_once

    def __cinit__(self, Bucket bucket not None, encode_tags):
        """`encode_tags` returns the MessagePack of an edge's tags. A point for which it raises is lost."""
        self.bucket = bucket
        self.encode_tags = encode_tags
        self.errors = []
        self.points_at_once = 1024

    def encode_some(self):
        """Return the MessagePack of the next points, one after the other; None after the last."""
        cdef Py_ssize_t first = self.next
        cdef Py_ssize_t end = first + min(self.points_at_once, self.bucket.used - first)
        if first >= end:
            return None
        cdef Row *rows = <Row *> calloc(end - first, sizeof(Row))
        cdef Buffer buffer
        buffer.bytes, buffer.used, buffer.capacity = NULL, 0, 0
        cdef list kept = []
        cdef Py_ssize_t used = 0
        cdef bint done = True
        if rows == NULL:
            raise MemoryError
        try:
            for i in range(first, end):
                used += self.fill_row(&rows[used], self.bucket.counts[i], kept)
            with nogil:
                for i in range(used):
                    done = done and put_row(&buffer, &rows[i])
            if not done:
                raise MemoryError
            self.next, self.encoded = end, self.encoded + used
            return PyBytes_FromStringAndSize(<char *> buffer.bytes, buffer.used)
        finally:
            free(rows)
            free(buffer.bytes)

    cdef bint fill_row(self, Row *row, Counts *counts, list kept) except -1:
        """Prepare one point. Return whether it can be encoded. `kept` holds what the row refers to."""
        cdef Point point = <Point> counts.point
        cdef bytes tags
        try:
            tags = self.encode_tags(point.edge.tags)
            row.tags, row.tags_bytes = tags, len(tags)  # an error if it is None
        except Exception as error:
            self.errors.append(error)
            self.lost += count_checkpoints(&counts.bins)
            return False
        kept.append(tags)
        row.hash, row.parent = point.hash, point.parent
        row.bins = &counts.bins
        return True


cdef int64_t count_checkpoints(Bins *bins):
    cdef int64_t count = 0
    for place in range(bins.capacity):
        if bins.bins[place].key >> BIN_BITS == EDGE_LATENCY:
            count += bins.bins[place].count
    return count
