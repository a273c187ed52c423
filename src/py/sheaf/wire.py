# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as bytes between client and servers: a pickle, and the buffers of large arrays beside it, uncopied.

A message is the number of buffers, the size of the pickle and of each buffer (8 bytes each, native order), the pickle,
and the buffers; pickle and buffers begin at multiples of 16.
"""

import pickle
import struct

_ALIGN = 16
_SMALL = struct.pack("=QQ", 0, 0)  # no buffers: the pickle is all that follows


def pack(thing):
    """A tuple of objects with buffers, which together are the message."""
    buffers = []
    body = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    if not buffers:
        return (_SMALL, body)
    blocks = [body, *(buffer.raw() for buffer in buffers)]
    sizes = [memoryview(block).nbytes for block in blocks]
    head = struct.pack(f"={1 + len(sizes)}Q", len(buffers), *sizes)
    parts = [head + bytes(-len(head) % _ALIGN)]
    for block, size in zip(blocks, sizes):
        parts.append(block)
        if size % _ALIGN:
            parts.append(bytes(-size % _ALIGN))
    return tuple(parts)


def unpack(payload):
    """The object back; arrays use the memory of `payload`, and may be written to."""
    view = memoryview(payload)
    count = struct.unpack_from("=Q", view)[0]
    if count == 0:
        return pickle.loads(view[len(_SMALL):])
    sizes = struct.unpack_from(f"={1 + count}Q", view, 8)
    at = 8 * (2 + count)
    blocks = []
    for size in sizes:
        at += -at % _ALIGN
        blocks.append(view[at:at + size])
        at += size
    return pickle.loads(blocks[0], buffers=blocks[1:])
