"""Frames as Azure writes them: with all of their fields.

AMQP lets a sender leave out the last fields of a frame that are null, and proton does. Event Hubs' client cannot read
such frames, so a relay in front of proton adds these fields again.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from time import sleep

from tests.brokers.process import free_port

FIELDS = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}
"""How many fields each kind of frame has, from `open` to `close`."""
AMQP_FRAME, NULL = 0, b"\x40"
LIST_0, LIST_8, LIST_32 = 0x45, 0xC0, 0xD0
PATIENCE = 100


def serve_padded(port: int) -> int:
    """Listen on a port, and relay to another one: its number is returned, and something has to listen there soon."""
    target = free_port()
    listener = socket.create_server(("127.0.0.1", port))
    Thread(target=_accept, args=(listener, target), daemon=True).start()
    return target


def _accept(listener: socket.socket, target: int) -> None:
    while True:
        outer, _ = listener.accept()
        inner = _connect(target)
        for sock in (outer, inner):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=_relay, args=(outer, inner, _read(outer)), daemon=True).start()
        Thread(target=_relay, args=(inner, outer, _read_padded(inner)), daemon=True).start()


def _connect(port: int) -> socket.socket:
    for _ in range(PATIENCE):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            sleep(0.05)
    raise TimeoutError("the server that the relay connects to does not answer")


def _relay(source: socket.socket, target: socket.socket, data: Iterator[bytes]) -> None:
    with suppress(OSError):  # one of them is gone, so the other one is told below
        for each in data:
            target.sendall(each)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _read(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(65536):
        yield data


def _read_padded(source: socket.socket) -> Iterator[bytes]:
    """Yield whole frames. A protocol header, which begins with `AMQP`, is no frame."""
    waiting = b""
    for data in _read(source):
        waiting += data
        done = list[bytes]()
        while len(waiting) >= 8:
            size = 8 if waiting[:4] == b"AMQP" else int.from_bytes(waiting[:4], "big")
            if len(waiting) < size:
                break
            done.append(waiting[:8] if waiting[:4] == b"AMQP" else pad_frame(waiting[:size]))
            waiting = waiting[size:]
        yield b"".join(done)


def pad_frame(frame: bytes) -> bytes:
    """Return a frame with all of its fields: what is not there is null."""
    start = frame[4] * 4
    if frame[5] != AMQP_FRAME or len(frame) == start:
        return frame
    wanted, kind = FIELDS.get(frame[start + 2]), frame[start + 3]
    begin = start + 4
    if wanted is None:
        return frame
    if kind == LIST_0:
        size, count, first, end = 0, 0, begin, begin
    elif kind == LIST_8:
        size, count, first = frame[begin], frame[begin + 1], begin + 2
        end = begin + 1 + size
    else:
        size, count = struct.unpack_from(">II", frame, begin)
        first, end = begin + 8, begin + 4 + size
    fields = frame[first:end] + NULL * (wanted - count)
    head = frame[4 : start + 3] + bytes([LIST_32]) + struct.pack(">II", len(fields) + 4, wanted)
    padded = head + fields + frame[end:]
    return struct.pack(">I", len(padded) + 4) + padded
