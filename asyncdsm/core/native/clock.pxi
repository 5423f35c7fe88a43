# The clock of the recorder: the system's, read without a call of Python, or another one that a test has set.

from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from types import BuiltinFunctionType

cdef object clock = None
cdef bint has_system_clock = False


cdef int64_t read_clock() except? -1:
    """Return nanoseconds since the epoch."""
    cdef timespec time
    if not has_system_clock:
        return clock()
    clock_gettime(CLOCK_REALTIME, &time)
    return <int64_t> time.tv_sec * 1_000_000_000 + time.tv_nsec


cdef void set_clock(object now):
    global clock, has_system_clock
    clock = now
    # Not `now is time.time_ns`: a test may have put another clock there, for all to use.
    has_system_clock = type(now) is BuiltinFunctionType and now.__name__ == "time_ns"
