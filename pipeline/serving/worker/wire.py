"""Frames between the server and a model's process: a JSON header, then bytes."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import orjson

_LENGTHS = struct.Struct(">II")
LARGEST_FRAME = 1 << 30


@dataclass(frozen=True)
class Frame:
    """`header["kind"]` says what it is; `parts` are byte strings whose meaning the header gives."""

    header: Mapping[str, Any]
    parts: Sequence[bytes] = ()


class BrokenFrame(Exception):
    """The other side sent what is no frame, or ended within one."""


def encode(frame: Frame) -> bytes:
    """A frame as bytes."""
    sizes = [len(part) for part in frame.parts]
    header = orjson.dumps({**frame.header, "sizes": sizes})
    return b"".join([_LENGTHS.pack(len(header), sum(sizes)), header, *frame.parts])


def read(stream: IO[bytes]) -> Frame | None:
    """The next frame; None at the end of the stream."""
    start = stream.read(_LENGTHS.size)
    if not start:
        return None
    header_size, size = _lengths(start)
    header, body = stream.read(header_size), stream.read(size)
    return _decode(header, body, header_size, size)


async def receive(stream: asyncio.StreamReader) -> Frame | None:
    """The next frame; None at the end of the stream. Raises BrokenFrame."""
    try:
        header_size, size = _lengths(await stream.readexactly(_LENGTHS.size))
        header = await stream.readexactly(header_size)
        return _decode(header, await stream.readexactly(size), header_size, size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BrokenFrame("the frame ends early") from None
        return None
    except ConnectionError:
        return None


def _lengths(start: bytes) -> tuple[int, int]:
    if len(start) < _LENGTHS.size:
        raise BrokenFrame("the frame ends early")
    header_size, size = _LENGTHS.unpack(start)
    if header_size + size > LARGEST_FRAME:
        raise BrokenFrame(f"a frame of {header_size + size} bytes")
    return header_size, size


def _decode(header: bytes, body: bytes, header_size: int, size: int) -> Frame:
    if len(header) < header_size or len(body) < size:
        raise BrokenFrame("the frame ends early")
    known = orjson.loads(header)
    parts, start = [], 0
    for length in known.pop("sizes"):
        parts.append(body[start : start + length])
        start += length
    if start != size:
        raise BrokenFrame("the parts are not as long as the frame says")
    return Frame(known, parts)
