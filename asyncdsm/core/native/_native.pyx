# cython: language_level=3, binding=False, embedsignature=True
"""The native core. It has the names of the plain one, and does the same: `core/plain/` says what each of them is for.

One module, so that its parts call each other directly. A part is a file: what is arithmetic in C, the rest in Cython.
Each function runs without a pause under the GIL, so a checkpoint needs no lock. What may call Python code, and with it
other checkpoints, does so before it changes anything.
"""

from cpython.contextvars cimport PyContextVar_Get, PyContextVar_Set
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
cimport cython

include "pathway.pxi"
include "edge.pxi"
include "bucket.pxi"
include "buckets.pxi"
include "clock.pxi"
include "checkpoint.pxi"
include "headers.pxi"
include "encode.pxi"
