# The counts of ten seconds. See `core/plain/bucket.py`.

from asyncdsm.core.histogram import MULTIPLIER, OFFSET, ZERO
from asyncdsm.core.plain.bucket import Histograms


cdef extern from "bins.h":
    const int EDGE_LATENCY, PATHWAY_LATENCY, PAYLOAD_SIZE
    const int BIN_BITS, ZERO_BIN
    double BIN_MULTIPLIER, BIN_OFFSET
    ctypedef struct Bin:
        uint32_t key
        uint32_t count
    ctypedef struct Bins:
        Bin *bins
        uint32_t used
        uint32_t capacity
    uint32_t bin_of_ns(int64_t ns)
    uint32_t bin_of_bytes(int64_t bytes)
    uint32_t make_key(uint32_t histogram, uint32_t bin)
    bint bins_add(Bins *bins, uint32_t key)
    void bins_free(Bins *bins) nogil


BIN_MULTIPLIER = MULTIPLIER
BIN_OFFSET = OFFSET

cdef int64_t UNKNOWN_SIZE = -1
cdef Py_ssize_t COUNTS_BETWEEN_PAUSES = 1024
cdef uint64_t last_bucket = 0

ctypedef struct Counts:
    PyObject *point  # owned
    Bins bins


@cython.final
@cython.no_gc
cdef class Bucket:
    """The checkpoints and offsets of a few seconds, aligned to the epoch."""

    cdef readonly int64_t start_ns
    cdef readonly int64_t recorded
    cdef readonly dict backlogs
    cdef uint64_t number
    cdef bint slot
    cdef Counts **counts
    cdef Py_ssize_t used, capacity

    def __cinit__(self, int64_t start_ns, bint slot=False):
        """A point remembers its counts in one bucket of each slot, so adjacent buckets need different ones."""
        global last_bucket
        last_bucket += 1
        self.number = last_bucket
        self.start_ns = start_ns
        self.slot = slot
        self.backlogs = {}

    def __dealloc__(self):
        while self.used > 0:
            self.free_last(min(self.used, COUNTS_BETWEEN_PAUSES))
        free(self.counts)

    @property
    def point_count(self):
        """The number of points that were counted here."""
        return self.used

    def first_edges(self, Py_ssize_t points):
        """Return the edges of the points that were counted first: `points` is how many of them."""
        return {(<Point> self.counts[i].point).edge for i in range(min(points, self.used))}

    def points_from(self, Py_ssize_t first, Py_ssize_t most):
        """Return the histograms of at most `most` points, from the one with the number `first` on."""
        cdef list points = []
        for i in range(first, min(first + most, self.used)):
            histograms = Histograms({}, {}, {})
            self.add_bins(self.counts[i], histograms)
            points.append((<object> self.counts[i].point, histograms))
        return points

    def points(self):
        """Return the histograms of each point."""
        cdef dict points = {}
        for i in range(self.used):
            point = <Point> self.counts[i].point
            histograms = points.get(point)
            if histograms is None:
                histograms = points[point] = Histograms({}, {}, {})
            self.add_bins(self.counts[i], histograms)
        return points

    cdef int add_bins(self, Counts *counts, object histograms) except -1:
        cdef Bin *bin
        for place in range(counts.bins.capacity):
            bin = &counts.bins.bins[place]
            if bin.count:
                histogram = <dict> histograms[bin.key >> BIN_BITS]
                index = bin.key & ((1 << BIN_BITS) - 1)
                index = ZERO if index == ZERO_BIN else index
                histogram[index] = histogram.get(index, 0) + bin.count
        return 0

    cdef inline int count(self, Point point, int64_t edge_ns, int64_t pathway_ns, int64_t size) except -1:
        """Count one checkpoint."""
        cdef Counts *counts = point.counts[self.slot]
        if point.counted_in[self.slot] != self.number:
            counts = self.add_point(point)
        cdef uint32_t edge_bin = bin_of_ns(edge_ns)
        cdef uint32_t pathway_bin = edge_bin if pathway_ns == edge_ns else bin_of_ns(pathway_ns)
        if not (
            bins_add(&counts.bins, make_key(EDGE_LATENCY, edge_bin))
            and bins_add(&counts.bins, make_key(PATHWAY_LATENCY, pathway_bin))
            and (size < 0 or bins_add(&counts.bins, make_key(PAYLOAD_SIZE, bin_of_bytes(size))))
        ):
            raise MemoryError
        self.recorded += 1
        return 0

    cdef Counts *add_point(self, Point point) except NULL:
        cdef Counts **grown
        if self.used == self.capacity:
            capacity = max(16, 2 * self.capacity)
            grown = <Counts **> realloc(self.counts, capacity * sizeof(Counts *))
            if grown == NULL:
                raise MemoryError
            self.counts, self.capacity = grown, capacity
        cdef Counts *counts = <Counts *> calloc(1, sizeof(Counts))
        if counts == NULL:
            raise MemoryError
        Py_INCREF(point)
        counts.point = <PyObject *> point
        self.counts[self.used] = counts
        self.used += 1
        point.counts[self.slot] = counts
        point.counted_in[self.slot] = self.number
        return counts

    cdef void free_last(self, Py_ssize_t count):
        """Free the last counts. With many of them that is slow work: most of it is done without the GIL."""
        cdef Counts **counts = self.counts + self.used - count
        self.used -= count
        for i in range(count):
            Py_DECREF(<object> counts[i].point)
        with nogil:
            for i in range(count):
                bins_free(&counts[i].bins)
                free(counts[i])
