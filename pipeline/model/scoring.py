"""From a fitted Pipeline and a frame to predictions, in the order of the contract's classes."""

from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.evaluation.metrics import Scored

if TYPE_CHECKING:
    from pipeline.model.decision import DecisionRule

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def probabilities(model: Any, features: Any, classes: list[str]) -> "NDArray[np.float64]":
    """Shape (rows, classes); a class that the model never saw gets probability 0."""
    import numpy as np

    known = [classes.index(str(name)) for name in model.classes_]
    chances = model.predict_proba(features)
    found = np.zeros((len(chances), len(classes)))
    found[:, known] = chances
    return found


def positive_class(contract: SchemaContract, word: str | None) -> str | None:
    """The class to find, as the contract spells it; None where there is no such class."""
    return None if word is None else contract.class_named(word)


def score(
    model: Any,
    features: "pd.DataFrame",
    target: "pd.Series",
    contract: SchemaContract,
    positive: str | None,
    decision: "DecisionRule | None" = None,
) -> Scored:
    """Predictions beside the truth, as the metrics want them."""
    import pandas as pd

    if not contract.classes:
        return Scored(target.to_numpy(dtype=float), model.predict(features).astype(float))
    found = probabilities(model, features, contract.classes)
    truth = pd.Index(contract.classes).get_indexer(pd.Index(target))
    scored = Scored(
        truth=truth,
        label=found.argmax(axis=1),
        score=found,
        classes=tuple(contract.classes),
        positive=contract.classes.index(positive) if positive else 1,
    )
    return decision.applied(scored) if decision else scored
