"""Code of one's own, named in the settings by its import path, such as mine:Ratios.

It is looked for beside the settings file and in the current folder, and is part of a training's
fingerprint.
"""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.evaluation.metrics import Computed, Scored, Task
from pipeline.model.preprocess import Inputs, imputed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.compose import ColumnTransformer


def look_in(*folders: Path) -> None:
    """Let modules in these folders be imported, after everything that is installed."""
    for folder in folders:
        place = str(folder.resolve())
        if place not in sys.path:
            sys.path.append(place)


def load(path: str) -> Any:
    """What an import path names. Raises InputError that says what is missing."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: no module {error.name!r}; it is looked for beside the settings file, in the "
            "current folder and among installed packages"
        ) from None
    except AttributeError:
        raise InputError(f"{path}: the module {module} has no {name!r}") from None
    except Exception as error:
        raise InputError(f"{path}: the module {module} cannot be imported: {error!r}") from error
    return found


def code_sha256(paths: Iterable[str]) -> str | None:
    """A digest of the modules that import paths name, with all of their packages; None for none."""
    files: set[Path] = set()
    for path in paths:
        module = path.partition(":")[0]
        spec = find_spec(module.partition(".")[0])
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None or not origin.is_file():
            continue
        files |= (
            set(origin.parent.rglob("*.py"))
            if spec and spec.submodule_search_locations
            else {origin}
        )
    if not files:
        return None
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Estimator:
    """A family that is one class: numbers imputed and scaled, categories one-hot encoded."""

    NAME: str
    kind: Any
    SPACE: dict[str, Any] = field(default_factory=dict)
    TRUSTED_TYPES: tuple[str, ...] = ()
    REQUIRES: str | None = None

    def build(
        self, inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
    ) -> "tuple[ColumnTransformer, Any]":
        """The preprocessing, and the class with the options, seeded if it can be."""
        del task, jobs
        takes = inspect.signature(self.kind).parameters
        seeded = {"random_state": seed} if "random_state" in takes else {}
        return imputed(inputs, scaled=True), self.kind(**{**seeded, **options})


def estimator(path: str) -> Estimator:
    """A class of one's own as a family. Raises InputError for what is no estimator."""
    kind = load(path)
    if not (inspect.isclass(kind) and hasattr(kind, "fit") and hasattr(kind, "get_params")):
        raise InputError(
            f"{path} is no estimator: derive it from sklearn.base.BaseEstimator, with fit and "
            "predict"
        )
    return Estimator(path, kind, dict(getattr(kind, "SPACE", {})))


def transform(path: str) -> Any:
    """A transformer of one's own, made without arguments."""
    kind = load(path)
    if not (inspect.isclass(kind) and hasattr(kind, "transform")):
        raise InputError(f"{path} is no transformer: derive it from sklearn's TransformerMixin")
    return kind()


Function = Callable[..., float]


def metric(path: str, scored: Scored) -> Computed:
    """A metric of one's own: `function(truth, label, score, weight)`.

    `truth` and `label` are names of classes or numbers, `score` probabilities of shape (rows,
    classes) or None, `weight` how often each row counts.
    """
    import numpy as np

    function: Function = load(path)
    truth, label = scored.truth, scored.label
    if scored.classes:
        names = np.array(scored.classes, dtype=object)
        truth, label = names[truth.astype(np.intp)], names[label.astype(np.intp)]

    def computed(weights: "NDArray[np.float64]") -> float:
        return float(function(truth, label, scored.score, weights))

    return computed
