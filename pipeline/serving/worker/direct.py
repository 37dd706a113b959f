"""The same predictions as a fitted Pipeline's, without what pandas costs on every call.

scikit-learn's ColumnTransformer takes columns by name out of a frame: on one row that is nearly all
of the time. Here each of its transformers gets its columns as arrays. Whether the answers are the
same, to the last bit, is tried when the model is loaded; where not, the Pipeline itself answers.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import frame

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

    def __init__(self, pipeline: Any) -> None:
        from sklearn.compose import ColumnTransformer

        steps = [step for _, step in pipeline.steps]
        if len(steps) != 2 or not isinstance(steps[0], ColumnTransformer):
            raise NotDirect("it is not one ColumnTransformer and a model")
        self._model = steps[1]
        self.classes_ = getattr(pipeline, "classes_", None)
        self._parts = [
            (_without_names(transformer), list(columns))
            for _, transformer, columns in steps[0].transformers_
            if len(columns)
        ]
        if any(transformer == "drop" for transformer, _ in self._parts):
            raise NotDirect("it drops columns")
        if hasattr(self._model, "feature_names_in_"):
            raise NotDirect("its model was fitted on a frame")

    def predict(self, columns: "Mapping[str, pyarrow.Array]") -> Any:
        """Labels or numbers, one a row."""
        return self._model.predict(self._inputs(columns))

    def predict_proba(self, columns: "Mapping[str, pyarrow.Array]") -> Any:
        """Chances, one column for each class."""
        return self._model.predict_proba(self._inputs(columns))

    def _inputs(self, columns: "Mapping[str, pyarrow.Array]") -> "NDArray[np.float64]":
        import numpy as np

        found = [
            part if transformer is None else transformer.transform(part)
            for transformer, part in (
                (transformer, _block(columns, names)) for transformer, names in self._parts
            )
        ]
        return found[0] if len(found) == 1 else np.hstack(found)


def direct_or_same(pipeline: Any, sample: "Mapping[str, pyarrow.Array]") -> Any | None:
    """A Direct that answers the sample exactly as the Pipeline does; None where there is none."""
    import warnings

    import numpy as np

    names = ["predict", *(["predict_proba"] if hasattr(pipeline, "classes_") else [])]
    try:
        found, features = Direct(pipeline), frame(sample)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for name in names:
                ours, theirs = getattr(found, name)(sample), getattr(pipeline, name)(features)
                if not np.array_equal(ours, theirs):
                    return None
    except Exception:  # noqa: BLE001 - whatever a shape that is not foreseen does
        return None
    return found


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
