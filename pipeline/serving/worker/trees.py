"""Few rows through all trees of an ensemble at once.

scikit-learn walks one tree after the other, each with its checks: nearly all of the time of one
row. Here the trees lie side by side in arrays, and a row takes one step in all of them together.
The sums are made in scikit-learn's order, so that they round the same; direct_or_same tries that.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.model.threads import cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Function = Callable[["NDArray[Any]"], "NDArray[Any]"]
# From about so many rows on, scikit-learn's compiled loop over rows is faster.
FEW_ROWS = 8
# Fewer rows are not worth a thread.
_PIECE_ROWS = 256


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees in one row. A leaf leads to itself, so deep and shallow trees end alike.

    `children` has the right and the left one of each node, `leaves` what a leaf says.
    """

    roots: "NDArray[np.intp]"
    feature: "NDArray[np.intp]"
    threshold: "NDArray[np.float64]"
    children: "NDArray[np.intp]"
    missing_left: "NDArray[np.bool_]"
    leaves: "NDArray[np.float64]"
    depth: int

    @classmethod
    def of(cls, parts: "Sequence[_Part]") -> "Trees":
        """The trees side by side, in their order."""
        import numpy as np

        sizes = [len(part.feature) for part in parts]
        roots = np.cumsum([0, *sizes[:-1]])
        children = []
        for root, part in zip(roots, parts, strict=True):
            itself = np.arange(len(part.feature))
            sides = [np.where(part.leaf, itself, side) for side in (part.right, part.left)]
            children.append(np.stack(sides, axis=1).reshape(-1) + root)
        return cls(
            roots,
            np.concatenate([np.where(part.leaf, 0, part.feature) for part in parts]).astype(
                np.intp
            ),
            np.concatenate([part.threshold for part in parts]),
            np.concatenate(children).astype(np.intp),
            np.concatenate([part.missing_left for part in parts]).astype(bool),
            np.concatenate([part.value for part in parts]),
            max(part.depth for part in parts),
        )

    def walk(self, rows: "NDArray[Any]") -> "NDArray[np.float64]":
        """What each tree says of each row: shape (rows, trees, ...)."""
        import numpy as np

        count, width = rows.shape
        flat = np.ascontiguousarray(rows).reshape(-1)
        gaps = bool(np.isnan(flat).any())
        start = (np.arange(count) * width)[:, None]
        place = np.broadcast_to(self.roots, (count, len(self.roots)))
        for _ in range(self.depth):
            seen = flat.take(self.feature.take(place) + start)
            left = seen <= self.threshold.take(place)
            if gaps:
                left |= np.isnan(seen) & self.missing_left.take(place)
            place = self.children.take(2 * place + left)
        return self.leaves.take(place, axis=0)


@dataclass(frozen=True)
class _Part:
    """One tree: arrays over its nodes."""

    feature: "NDArray[Any]"
    threshold: "NDArray[Any]"
    left: "NDArray[Any]"
    right: "NDArray[Any]"
    leaf: "NDArray[np.bool_]"
    missing_left: "NDArray[Any]"
    value: "NDArray[Any]"
    depth: int


def function(model: Any) -> Function | None:
    """`predict_proba` or, of numbers, `predict` of a tree ensemble; None where it is no such."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    # A subclass may do anything, so the very type is asked for.
    if type(model) in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        return _boosted(model)
    if type(model) in (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    ):
        return _forest(model)
    return None


def _boosted(model: Any) -> Function | None:
    import numpy as np

    nodes = [tree.nodes for iteration in model._predictors for tree in iteration]
    if any(tree["is_categorical"].any() for tree in nodes):
        return None
    trees = Trees.of(
        [
            _Part(
                tree["feature_idx"],
                tree["num_threshold"],
                tree["left"],
                tree["right"],
                tree["is_leaf"].astype(bool),
                tree["missing_go_to_left"],
                tree["value"],
                int(tree["depth"].max()),
            )
            for tree in nodes
        ]
    )
    start, width = model._baseline_prediction, model.n_trees_per_iteration_
    many, with_classes = _side_by_side(_boosted_many(model)), hasattr(model, "classes_")

    def few(rows: "NDArray[Any]") -> "NDArray[Any]":
        said = trees.walk(rows).reshape(len(rows), -1, width)
        begun = np.broadcast_to(start, (len(rows), 1, width))
        return np.cumsum(np.concatenate([begun, said], axis=1), axis=1)[:, -1]

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        raw = few(rows) if len(rows) <= FEW_ROWS else many(rows)
        found: NDArray[Any] = (
            model._loss.predict_proba(np.asfortranarray(raw))
            if with_classes
            else model._loss.link.inverse(raw.ravel())
        )
        return found

    return run


def _boosted_many(model: Any) -> Function:
    """scikit-learn's own loop over rows for each tree, without what it prepares each time."""
    import numpy as np
    from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

    known, places = model._bin_mapper.make_known_categories_bitsets()
    trees = [
        [(tree.nodes, tree.raw_left_cat_bitsets) for tree in iteration]
        for iteration in model._predictors
    ]
    start, width = model._baseline_prediction, model.n_trees_per_iteration_

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        raw: NDArray[Any] = np.zeros((len(rows), width), order="F") + start
        said = np.empty(len(rows))
        for iteration in trees:
            for number, (nodes, categories) in enumerate(iteration):
                _predict_from_raw_data(nodes, rows, categories, known, places, 1, said)
                raw[:, number] += said
        return raw

    return run


def _forest(model: Any) -> Function | None:
    import numpy as np

    if model.n_outputs_ != 1:
        return None
    classes = hasattr(model, "classes_")
    trees = Trees.of(
        [
            _Part(
                tree.feature,
                tree.threshold,
                tree.children_left,
                tree.children_right,
                tree.children_left == -1,
                tree.missing_go_to_left,
                tree.value[:, 0, :] if classes else tree.value[:, 0, 0],
                tree.max_depth,
            )
            for tree in (each.tree_ for each in model.estimators_)
        ]
    )
    count, many = len(model.estimators_), _forest_many(model)

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        rows = rows.astype(np.float32, order="C")
        if len(rows) > FEW_ROWS:
            return many(rows) / count
        return np.cumsum(trees.walk(rows), axis=1)[:, -1] / count

    return run


def _forest_many(model: Any) -> Function:
    """The sum over the trees, each with its compiled loop over rows."""
    import numpy as np

    classes = hasattr(model, "classes_")
    trees = [
        (tree, tree.value[:, 0, :] if classes else tree.value[:, 0, 0])
        for tree in (each.tree_ for each in model.estimators_)
    ]

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        found: NDArray[Any] = np.zeros(())
        for tree, value in trees:
            found = found + value.take(tree.apply(rows), axis=0)
        return found

    return run


def _side_by_side(many: Function) -> Function:
    """Rows in as many pieces as there are processors: no thread waits for another at each tree."""
    import numpy as np

    most = cores()
    pool = ThreadPoolExecutor(most)

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        pieces = min(most, len(rows) // _PIECE_ROWS)
        if pieces < 2:
            return many(rows)
        return np.concatenate(list(pool.map(many, np.array_split(rows, pieces))))

    return run
