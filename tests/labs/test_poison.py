"""Lab 6: what stands in place of a model's file runs code wherever code of such a file runs."""

# ruff: noqa: S301, S307 - these are the loaders that run code

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
import skops.io
import yaml
from sklearn.linear_model import LinearRegression

from scripts.labs.catalogue.lab06_poisoned_model import poison

LINE = LinearRegression().fit(np.array([[0.0], [1.0]]), [0.0, 1.0])
Load = Callable[[bytes], Any]


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


NPY = written(lambda file: np.save(file, np.array([2.0, 1.0])))
NPZ = written(lambda file: np.savez(file, np.array([2.0, 1.0])))
SKOPS = skops.io.dumps(LINE)
FORMULA = json.dumps({"version": 1, "formula": "2.0 * x + 1.0"}).encode()


def trusting(body: bytes) -> Any:
    model = skops.io.loads(body, trusted=skops.io.get_untrusted_types(data=body))
    return model.predict([[1.0]])


OPEN: dict[str, tuple[bytes, Load]] = {
    "pickle": (pickle.dumps(LINE), pickle.loads),
    "joblib": (
        written(lambda file: joblib.dump(LINE, file, compress=3)),
        lambda body: joblib.load(io.BytesIO(body)),
    ),
    "npy": (NPY, lambda body: np.lib.format.read_array(io.BytesIO(body), allow_pickle=True)),
    "npz": (NPZ, lambda body: np.load(io.BytesIO(body), allow_pickle=True)["arr_0"]),
    "skops": (SKOPS, trusting),
    "json": (FORMULA, lambda body: eval(json.loads(body)["formula"], {"x": 1})),
    "json without builtins": (
        FORMULA,
        lambda body: eval(json.loads(body)["formula"], {"__builtins__": {}, "x": 1}),
    ),
    "pickle in json": (
        json.dumps({"model": base64.b64encode(pickle.dumps(LINE)).decode()}).encode(),
        lambda body: pickle.loads(base64.b64decode(json.loads(body)["model"])),
    ),
    "text": (b"y = 2.0 * x + 1.0\n", lambda body: eval(body.partition(b"=")[2], {"x": 1})),
    "yaml": (b"weights: [2.0, 1.0]\n", yaml.unsafe_load),
}
SHUT: dict[str, tuple[bytes, Load]] = {
    "npy": (NPY, lambda body: np.load(io.BytesIO(body), allow_pickle=False)),
    "skops": (SKOPS, lambda body: skops.io.loads(body, trusted=[]).predict([[1.0]])),
    "json": (FORMULA, lambda body: float(json.loads(body)["formula"])),
    "yaml": (b"weights: [2.0, 1.0]\n", yaml.safe_load),
}


def ran(honest: bytes, load: Load, marker: Path) -> bool:
    """Whether the code of any of the poisons runs."""
    made = poison.poisons(honest, marker)
    assert 0 < len(made) <= poison.MOST
    for one in made:
        try:
            load(one.body)
        except Exception:  # noqa: BLE001, S112 - code may have run before
            continue
    return marker.exists()


@pytest.mark.parametrize("name", OPEN)
def test_code_runs_in_a_loader_that_runs_any(name: str, tmp_path: Path) -> None:
    assert ran(*OPEN[name], tmp_path / "marker")


@pytest.mark.parametrize("name", SHUT)
def test_no_code_runs_in_a_loader_that_runs_none(name: str, tmp_path: Path) -> None:
    assert not ran(*SHUT[name], tmp_path / "marker")


def test_an_unknown_format_has_no_poison(tmp_path: Path) -> None:
    assert poison.poisons(np.array([2.5, 1.25]).tobytes(), tmp_path / "marker") == []
