# The headers of a Kafka message. See `core/plain_headers.py`.
#
# Read here are headers as clients give them: a tuple or a list of tuples of an ASCII name, and bytes, an ASCII string or
# None. Nothing of that calls Python code. All others go to the plain functions, as they came. Those are imported late,
# since they import the checkpoints.

from cpython.sequence cimport PySequence_Fast_GET_ITEM, PySequence_Fast_GET_SIZE
from libc.string cimport memcmp

cdef str HEADER = contexts.HEADER
cdef bytes CONTEXT_NAME = HEADER.encode()
cdef bytes LEGACY_NAME = contexts.LEGACY_HEADER.encode()
cdef Py_ssize_t HEADER_FRAME = contexts.HEADER_FRAME


def scan_headers(headers, size):
    """Return the context among a consumed message's headers, or None, and `size` plus the bytes of all headers."""
    cdef Py_ssize_t total = 0, header_bytes
    cdef object context = None, header
    if not is_tuple_or_list(headers) or not PyLong_CheckExact(size):
        return plain_headers().scan_headers(headers, size)
    for i in range(PySequence_Fast_GET_SIZE(headers)):
        header = <object> PySequence_Fast_GET_ITEM(headers, i)
        header_bytes = count_header_bytes(header)
        if header_bytes < 0 or is_named(header, LEGACY_NAME):
            return plain_headers().scan_headers(headers, size)
        total += header_bytes
        if is_named(header, CONTEXT_NAME):
            context = (<tuple> header)[1]
    return context, size + total


def begin_with_headers(Edge edge not None, headers, size, room):
    """Return a message's checkpoint, and the headers to send: a copy with a context, or the caller's own."""
    cdef list kept = []
    if headers:
        try:
            kept, size = copy_headers(headers, size)
        except (TypeError, ValueError):
            return None, headers
    cdef bint fits = room is not None and (size + HEADER_FRAME * len(kept) <= room or len(kept) < len(headers or ()))
    cdef PendingProduce pending = begin_produce(edge, size, PyBytes_GET_SIZE(CONTEXT_NAME) if fits else None)
    if pending is None or not fits:
        return pending, headers
    kept.append((HEADER, pending.header))
    return pending, kept


cpdef copy_headers(headers, size):
    """Return a list of the headers to send, without a context, and `size` plus their bytes."""
    cdef Py_ssize_t i = 0, total = 0, header_bytes
    cdef list kept = []
    cdef object header
    if not is_tuple_or_list(headers) or not PyLong_CheckExact(size):
        return plain_headers().copy_headers(headers, size)
    while i < PySequence_Fast_GET_SIZE(headers):  # `append` may start the garbage collector, which may change the list
        header = <object> PySequence_Fast_GET_ITEM(headers, i)
        i += 1
        header_bytes = count_header_bytes(header)
        if header_bytes < 0:
            return plain_headers().copy_headers(headers, size)
        if not is_named(header, CONTEXT_NAME):
            total += header_bytes
            kept.append(header)
    return kept, size + total


cdef plain_headers():
    from asyncdsm.core import plain_headers as headers
    return headers


cdef inline bint is_tuple_or_list(object headers):
    return type(headers) is tuple or type(headers) is list


cdef inline Py_ssize_t count_header_bytes(object header):
    """Return the bytes of a header's name and value; -1 for a header that the plain functions have to read."""
    if type(header) is not tuple or PySequence_Fast_GET_SIZE(header) != 2:
        return -1
    cdef object name = (<tuple> header)[0], value = (<tuple> header)[1]
    if not is_ascii(name):
        return -1
    if value is None:
        return PyUnicode_GET_LENGTH(name)
    if PyBytes_CheckExact(value):
        return PyUnicode_GET_LENGTH(name) + PyBytes_GET_SIZE(value)
    return PyUnicode_GET_LENGTH(name) + PyUnicode_GET_LENGTH(value) if is_ascii(value) else -1


cdef inline bint is_ascii(object text):
    return PyUnicode_CheckExact(text) and PyUnicode_IS_COMPACT_ASCII(text)


cdef inline bint is_named(object header, bytes name):
    """Say whether an ASCII header has this name."""
    cdef object own = (<tuple> header)[0]
    return (
        PyUnicode_GET_LENGTH(own) == PyBytes_GET_SIZE(name)
        and memcmp(PyUnicode_1BYTE_DATA(own), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) == 0
    )
