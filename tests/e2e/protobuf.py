"""As much of protobuf and of gRPC's framing as Istio's echo server needs: numbers and text, by the number of the field.

grpcio would be 6 MB for it, with connections of its own that tests could not look at.
"""

from __future__ import annotations

import struct

NUMBER, TEXT = 0, 2


def frame(message):
    """A message as it goes over the wire: not compressed, with its length before it."""
    return struct.pack(">BI", 0, len(message)) + message


def message(fields):
    """A message of numbers and text, by the number of their field."""
    made = b""
    for field, value in fields.items():
        if isinstance(value, int):
            made += _varint(field << 3 | NUMBER) + _varint(value)
        else:
            raw = value.encode()
            made += _varint(field << 3 | TEXT) + _varint(len(raw)) + raw
    return made


def texts(framed, field=1):
    """The texts of one field of the message in an answer."""
    raw, found, at = framed[5:], [], 0
    while at < len(raw):
        key, at = _read(raw, at)
        size, at = _read(raw, at)
        if key & 7 == TEXT:
            if key >> 3 == field:
                found.append(raw[at : at + size].decode())
            at += size
    return found


def _varint(number):
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def _read(raw, at):
    number = shift = 0
    while True:
        number |= (raw[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if raw[at - 1] < 128:
            return number, at
