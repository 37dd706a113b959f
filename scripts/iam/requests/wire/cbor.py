"""Reads the CBOR that AWS clients send (RFC 8949, without what Smithy's rpc-v2-cbor leaves out)."""

from __future__ import annotations

import struct
from typing import Any

_MAX_DEPTH = 64
_INDEFINITE = 31
_BREAK = 0xFF
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


def decode(data: bytes) -> Any:
    """The one value that `data` holds; ValueError for anything else."""
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise ValueError("the CBOR body goes on after its first value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("the CBOR body ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ValueError("the CBOR body holds an invalid length")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def broken_off(self) -> bool:
        """Whether an item of indefinite length ends here."""
        if self.at < len(self.data) and self.data[self.at] == _BREAK:
            self.at += 1
            return True
        return False

    def item(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("the CBOR body is nested too deeply")
        first = self.take(1)[0]
        major, info = first >> 5, first & 0x1F
        match major:
            case 0:
                return self.number(info)
            case 1:
                return -1 - self.number(info)
            case 2 | 3:
                found = self.string(major, info)
                return found if major == 2 else found.decode("utf-8")
            case 4:
                return list(self.array(info, depth))
            case 5:
                return self.map(info, depth)
            case 6:
                self.number(info)  # a tag; the only one in use marks a time
                return self.item(depth + 1)
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info in _FLOATS:
            return struct.unpack(_FLOATS[info], self.take(1 << (info - 24)))[0]
        raise ValueError("the CBOR body holds a simple value that AWS does not use")

    def string(self, major: int, info: int) -> bytes:
        if info != _INDEFINITE:
            return self.take(self.number(info))
        chunks = []
        while not self.broken_off():
            first = self.take(1)[0]
            if first >> 5 != major:
                raise ValueError("the CBOR body mixes kinds of strings")
            chunks.append(self.take(self.number(first & 0x1F)))
        return b"".join(chunks)

    def array(self, info: int, depth: int) -> list[Any]:
        found = []
        if info == _INDEFINITE:
            while not self.broken_off():
                found.append(self.item(depth + 1))
        else:
            for _ in range(self.number(info)):
                found.append(self.item(depth + 1))  # noqa: PERF401 - ends at the first lack
        return found

    def map(self, info: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        left = -1 if info == _INDEFINITE else self.number(info)
        while not self.broken_off() if left < 0 else len(found) < left:
            name = self.item(depth + 1)
            if not isinstance(name, str):
                raise ValueError("the CBOR body has a name that is not text")
            if name in found:
                raise ValueError(f"the CBOR body gives {name!r} twice")
            found[name] = self.item(depth + 1)
        return found
