# The clock of a recorder: the system's, read without a call of Python, or another one that a test has set.

from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from types import BuiltinFunctionType


cdef object other_clock(object now):
    """Return None for the system's clock, or else the clock as it is."""
    # Not `now is time.time_ns`: a test may have put another clock there, for all to use.
    return None if type(now) is BuiltinFunctionType and now.__name__ == "time_ns" else now


cdef inline int64_t read_system_clock() noexcept:
    """Return nanoseconds since the epoch."""
    cdef timespec time
    clock_gettime(CLOCK_REALTIME, &time)
    return <int64_t> time.tv_sec * 1_000_000_000 + time.tv_nsec
