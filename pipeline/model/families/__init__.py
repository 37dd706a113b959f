"""The model families that settings may name: one file each, or a class of one's own.

A file defines NAME (its own name), SPACE (default ranges of the search: two numbers are a range,
log-uniform over two decades or more; anything else is a list of choices), TRUSTED_TYPES (types
that skops must be allowed to load), REQUIRES (a package that is not among the locked ones, or
None) and build, which returns the unfitted preprocessing and model. With no options at all, build
gives the library's own defaults: they are the first trial of each family.
"""

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import InputError
from pipeline.evaluation.metrics import Task
from pipeline.model import own
from pipeline.model.preprocess import Inputs, imputed

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

Space = Mapping[str, Sequence[float | int | str | None]]

# A type of column, and what is around a model whose probabilities were set right: plain containers.
_COMMON_TYPES = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)
# From the repository's own list: the kit is on no package index.
INSTALL = ".venv/bin/uv pip install -r pyproject.toml --extra boosting"
NAMES = tuple(sorted(found.name for found in pkgutil.iter_modules(__path__)))


class Family(Protocol):
    """What a family's file defines."""

    @property
    def NAME(self) -> str:  # noqa: N802 - as a module names its constants
        """Its own name."""

    @property
    def SPACE(self) -> Space:  # noqa: N802
        """Default ranges of the search."""

    @property
    def TRUSTED_TYPES(self) -> tuple[str, ...]:  # noqa: N802
        """Types that skops must be allowed to load."""

    @property
    def REQUIRES(self) -> str | None:  # noqa: N802
        """A package that is not among the locked ones."""

    def build(
        self, inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
    ) -> "tuple[ColumnTransformer, Any]":
        """The unfitted preprocessing and model."""
        ...


@dataclass(frozen=True)
class Own:
    """A class of one's own: numbers are imputed and scaled, categories one-hot encoded."""

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


def own_family(path: str) -> Own:
    """A class of one's own as a family. Raises InputError for what is no estimator."""
    kind = own.load(path)
    if not (inspect.isclass(kind) and hasattr(kind, "fit") and hasattr(kind, "get_params")):
        raise InputError(
            f"{path} is no estimator: derive it from sklearn.base.BaseEstimator, with fit and "
            "predict"
        )
    return Own(path, kind, dict(getattr(kind, "SPACE", {})))


def family(name: str) -> Family:
    """The family of a name, or of a class that an import path such as mine:Model names.

    Raises InputError for a name that is none, or one whose package is not installed.
    """
    if ":" in name:
        return own_family(name)
    if name not in NAMES:
        raise InputError(f"write one of {', '.join(NAMES)}, or module:Class, not {name!r}")
    found: Family = import_module(f"{__name__}.{name}")
    if found.REQUIRES is not None and find_spec(found.REQUIRES) is None:
        raise InputError(
            f"the family {name} needs the package {found.REQUIRES}, which is not among the locked "
            f"ones for its size: `{INSTALL}` in the repository, or install {found.REQUIRES} alone"
        )
    return found


def trusted_types() -> list[str]:
    """What skops must be allowed to load so that a model of any family can be read again."""
    found = {kind for name in NAMES for kind in import_module(f"{__name__}.{name}").TRUSTED_TYPES}
    return [*_COMMON_TYPES, *sorted(found)]
