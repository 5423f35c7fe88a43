# The pathway of a message, as a value. See `core/plain/pathway.py`.

from asyncdsm.core import context as contexts


cdef extern from "context.h":
    ctypedef struct Context:
        uint64_t hash
        int64_t pathway_start_ns
        int64_t edge_start_ns
    const int CONTEXT_CHARACTERS
    void context_prepare()
    bint context_read(const char *text, Context *context)
    bint context_write(const Context *context, char *text)


context_prepare()


@cython.freelist(256)
cdef class Pathway:
    """The chain of checkpoints that a message has passed. A message carries its times in milliseconds."""

    cdef readonly uint64_t hash
    cdef readonly int64_t pathway_start_ns
    cdef readonly int64_t edge_start_ns

    def __init__(self, uint64_t hash, int64_t pathway_start_ns, int64_t edge_start_ns):
        self.hash = hash
        self.pathway_start_ns = pathway_start_ns
        self.edge_start_ns = edge_start_ns

    def encode(self):
        """Return the context as bytes: 20 for today's timestamps."""
        return contexts.encode_context(self.hash, self.pathway_start_ns, self.edge_start_ns)

    def encode_base64(self):
        """Return the base64 text that a message carries under the key `dd-pathway-ctx-base64`."""
        return self.wire().decode("ascii")

    def wire(self):
        """Return that text as ASCII bytes, as Kafka carries it."""
        return encode_header(self.hash, self.pathway_start_ns, self.edge_start_ns)

    @classmethod
    def decode(cls, data):
        """Read a context from its bytes; None for anything malformed, never an exception."""
        context = contexts.decode_context(data)
        return None if context is None else cls(*context)

    @classmethod
    def decode_base64(cls, text):
        """Read a context from its base64 text; None for anything malformed, never an exception."""
        context = contexts.decode_header(text)
        return None if context is None else cls(*context)

    cdef tuple as_tuple(self):
        return self.hash, self.pathway_start_ns, self.edge_start_ns

    # As the plain one, it is a named tuple to those who use it.

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.as_tuple()[index]

    def __iter__(self):
        return iter(self.as_tuple())

    def __hash__(self):
        return hash(self.as_tuple())

    def __eq__(self, other):
        if isinstance(other, Pathway):
            return self.as_tuple() == (<Pathway> other).as_tuple()
        return self.as_tuple() == other if isinstance(other, tuple) else NotImplemented

    def __repr__(self):
        return "%s(hash=%d, pathway_start_ns=%d, edge_start_ns=%d)" % (type(self).__name__, *self.as_tuple())

    def __reduce__(self):
        return type(self), self.as_tuple()


cdef inline Pathway make_pathway(uint64_t hash, int64_t pathway_start_ns, int64_t edge_start_ns):
    cdef Pathway pathway = Pathway.__new__(Pathway)
    pathway.hash = hash
    pathway.pathway_start_ns = pathway_start_ns
    pathway.edge_start_ns = edge_start_ns
    return pathway


cdef bytes encode_header(uint64_t hash, int64_t pathway_start_ns, int64_t edge_start_ns):
    """Return the base64 text of a context, as ASCII bytes."""
    cdef Context context = Context(hash, pathway_start_ns, edge_start_ns)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, CONTEXT_CHARACTERS)
    if context_write(&context, PyBytes_AS_STRING(text)):
        return text
    return contexts.encode_header(hash, pathway_start_ns, edge_start_ns)


cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    const unsigned char *PyUnicode_1BYTE_DATA(object)


cdef bint decode_header(object header, int64_t most_bytes, Context *context) except -1:
    """Read a context from its base64 text. Return whether there was one."""
    cdef const char *text = NULL
    if most_bytes >= CONTEXT_CHARACTERS:
        if PyBytes_CheckExact(header) and PyBytes_GET_SIZE(header) == CONTEXT_CHARACTERS:
            text = PyBytes_AS_STRING(header)
        elif (
            PyUnicode_CheckExact(header)
            and PyUnicode_IS_COMPACT_ASCII(header)
            and PyUnicode_GET_LENGTH(header) == CONTEXT_CHARACTERS
        ):
            text = <const char *> PyUnicode_1BYTE_DATA(header)
        if text != NULL and context_read(text, context):
            return True
    found = contexts.decode_header(header, most_bytes)
    if found is None:
        return False
    context.hash, context.pathway_start_ns, context.edge_start_ns = found
    return True
