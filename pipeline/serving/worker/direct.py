"""The same predictions as a fitted Pipeline's, without what pandas costs on every call.

scikit-learn's ColumnTransformer takes columns by name out of a frame: on one row that is nearly all
of the time. Here each of its transformers gets its columns as arrays, and what is simple arithmetic
is done without scikit-learn's checks (lean.py). Whether the answers are the same, to the last bit,
is tried when the model is loaded; where not, the Pipeline itself answers.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pipeline.data.contract import frame
from pipeline.serving.worker import lean, trees

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray


class NotDirect(Exception):
    """The model is of another shape, or its answers would differ."""


class Direct:
    """A Pipeline of one ColumnTransformer and a model, called with columns.

    It has what `predictions` needs of a model: classes_, predict and predict_proba; both take the
    Arrow columns in place of a frame.
    """

    def __init__(self, pipeline: Any, order: Literal["C", "F"] = "C") -> None:
        from sklearn.compose import ColumnTransformer

        steps = [step for _, step in pipeline.steps]
        if len(steps) != 2 or not isinstance(steps[0], ColumnTransformer):
            raise NotDirect("it is not one ColumnTransformer and a model")
        self._model, self._order = steps[1], order
        self.classes_ = getattr(pipeline, "classes_", None)
        parts = [
            (_without_names(transformer), list(columns))
            for _, transformer, columns in steps[0].transformers_
            if len(columns)
        ]
        if any(isinstance(transformer, str) for transformer, _ in parts):
            raise NotDirect("it drops columns")
        self._parts = [(_function(transformer), names) for transformer, names in parts]
        self._chances = self._numbers = self._trees = trees.function(self._model)
        if self._trees is None:
            self._chances = lean.chances(self._model)
        if hasattr(self._model, "feature_names_in_"):
            raise NotDirect("its model was fitted on a frame")

    @property
    def has_trees(self) -> bool:
        """Whether few rows go through all trees of an ensemble at once."""
        return self._trees is not None

    def predict(self, columns: "Mapping[str, pyarrow.Array]") -> Any:
        """Labels or numbers, one a row."""
        inputs = self._inputs(columns)
        if self._numbers and self.classes_ is None:
            return self._numbers(inputs)
        return self._model.predict(inputs)

    def predict_proba(self, columns: "Mapping[str, pyarrow.Array]") -> Any:
        """Chances, one column for each class."""
        inputs = self._inputs(columns)
        return self._chances(inputs) if self._chances else self._model.predict_proba(inputs)

    def _inputs(self, columns: "Mapping[str, pyarrow.Array]") -> "NDArray[np.float64]":
        import numpy as np

        found = [
            part if transform is None else transform(part)
            for transform, part in (
                (transform, _block(columns, names)) for transform, names in self._parts
            )
        ]
        # A product of numbers that lie in another order rounds otherwise.
        return np.asarray(found[0] if len(found) == 1 else np.hstack(found), order=self._order)


def direct_or_same(pipeline: Any, sample: "Mapping[str, pyarrow.Array]") -> Any | None:
    """A Direct that answers the sample exactly as the Pipeline does; None where there is none."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Which order a ColumnTransformer leaves its numbers in follows from its parts.
            orders: tuple[Literal["C", "F"], ...] = ("C", "F")
            for order in orders:
                found = Direct(pipeline, order)
                if _agree(found, pipeline, sample):
                    return found
    except Exception:  # noqa: BLE001 - whatever a shape that is not foreseen does
        return None
    return None


def _agree(found: Direct, pipeline: Any, sample: "Mapping[str, pyarrow.Array]") -> bool:
    import numpy as np

    names = ["predict", *(["predict_proba"] if hasattr(pipeline, "classes_") else [])]
    features = frame(sample)
    # One row takes another way through BLAS than many.
    for size in (1, 3, len(features)):
        part = {column: array[:size] for column, array in sample.items()}
        for name in names:
            theirs = getattr(pipeline, name)(features.iloc[:size])
            if not np.array_equal(getattr(found, name)(part), theirs):
                return False
    return not found.has_trees or _agree_row_by_row(found, names[-1], sample, theirs)


def _agree_row_by_row(
    found: Direct, name: str, sample: "Mapping[str, pyarrow.Array]", theirs: Any
) -> bool:
    """Few rows take another way through trees than many, and each row another through each tree."""
    import numpy as np

    size = trees.FEW_ROWS
    return all(
        np.array_equal(
            getattr(found, name)(
                {column: array[start : start + size] for column, array in sample.items()}
            ),
            theirs[start : start + size],
        )
        for start in range(0, len(theirs), size)
    )


def _function(transformer: Any) -> "lean.Function | None":
    """What a transformer does; None passes through."""
    if transformer is None:
        return None
    return lean.transform(transformer) or transformer.transform


def _without_names(transformer: Any) -> Any:
    """A transformer that takes arrays, though it was fitted on a frame; None passes through."""
    if isinstance(transformer, str):
        return None if transformer == "passthrough" else transformer
    found = copy.deepcopy(transformer)
    for step in _steps(found):
        vars(step).pop("feature_names_in_", None)
    # In a fitted ColumnTransformer, "passthrough" is a function that hands on what it gets.
    if type(found).__name__ == "FunctionTransformer" and found.func is None:
        return None
    return found


def _steps(transformer: Any) -> "Iterator[Any]":
    """A transformer and, where it is a Pipeline, its steps and theirs."""
    yield transformer
    for _, step in getattr(transformer, "steps", []):
        if not isinstance(step, str):
            yield from _steps(step)


def _block(columns: "Mapping[str, pyarrow.Array]", names: list[str]) -> "NDArray[Any]":
    """Columns side by side: float64, or objects where one holds texts."""
    import numpy as np
    import pyarrow

    first = columns[names[0]]
    if all(pyarrow.types.is_float64(columns[name].type) for name in names):
        block = np.empty((len(names), len(first)))
        for place, name in enumerate(names):
            block[place] = columns[name].to_numpy(zero_copy_only=False)
        return block.T
    objects = np.empty((len(first), len(names)), dtype=object)
    for place, name in enumerate(names):
        values = columns[name].to_pylist()
        objects[:, place] = [np.nan if value is None else value for value in values]
    return objects
