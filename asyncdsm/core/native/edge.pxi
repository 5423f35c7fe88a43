# Edges and their points. See `core/plain/edge.py`.
#
# An edge finds its points and does not own them: the recorder does, and each point keeps its edge. So there is no
# circle of references, and none of these objects need the garbage collector, whose visits to many thousands of points
# would stop the event loop.

from asyncdsm.core.values import wire_text


cdef extern from "points.h":
    ctypedef struct PointPlace:
        uint64_t parent
        void *point
    ctypedef struct PointTable:
        PointPlace *places
        uint32_t capacity
    void *points_find(const PointTable *table, uint64_t parent)
    bint points_add(PointTable *table, uint64_t parent, void *point)
    void points_remove(PointTable *table, uint64_t parent, const void *point)
    void points_clear(PointTable *table)


@cython.final
@cython.no_gc
cdef class Edge:
    """The tags of an edge, sorted once, and its points so far."""

    cdef public tuple tags
    cdef readonly uint64_t owner
    cdef readonly uint64_t node
    cdef PointTable table

    def __init__(self, *tags):
        self.tags = tuple(sorted(map(wire_text, tags)))

    def __dealloc__(self):
        points_clear(&self.table)

    @property
    def points(self):
        """A copy of the points, by the hash of their parent."""
        cdef dict points = {}
        for i in range(self.table.capacity):
            if self.table.places[i].point != NULL:
                points[self.table.places[i].parent] = <object> self.table.places[i].point
        return points

    def find_point(self, uint64_t owner, uint64_t parent):
        """Return the point of a parent; None if there is none, or if the points belong to another recorder."""
        cdef void *point = points_find(&self.table, parent) if self.owner == owner else NULL
        return None if point == NULL else <object> point

    def change_owner(self, uint64_t owner, uint64_t node):
        """Drop all points. Those that follow belong to this recorder, and have hashes of this node."""
        points_clear(&self.table)
        self.owner = owner
        self.node = node

    def add_point(self, Point point not None):
        """Add a point, unless there is one for its parent already. Return the one that is there now."""
        cdef void *found = points_find(&self.table, point.parent)
        if found != NULL:
            return <object> found
        if point.edge is not self:
            raise ValueError("the point belongs to another edge")  # which is the one that it leaves when it is freed
        if not points_add(&self.table, point.parent, <void *> point):
            raise MemoryError
        return point

    def remove_point(self, Point point not None):
        """Remove a point, if it is there."""
        points_remove(&self.table, point.parent, <void *> point)

    def __repr__(self):
        return f"Edge({', '.join(self.tags)})"


@cython.final
@cython.no_gc
cdef class Point:
    """One pathway at one edge: a payload has a row for each. Compared by identity."""

    cdef readonly Edge edge
    cdef readonly uint64_t hash
    cdef readonly uint64_t parent
    cdef public bint is_admitted
    # Where it is counted in the last two buckets: valid while the bucket's number is this one.
    cdef Counts *counts[2]
    cdef uint64_t counted_in[2]

    def __cinit__(self, Edge edge not None, uint64_t hash_, uint64_t parent):
        self.edge = edge
        self.hash = hash_
        self.parent = parent

    def __dealloc__(self):
        if self.edge is not None:
            points_remove(&self.edge.table, self.parent, <void *> self)
