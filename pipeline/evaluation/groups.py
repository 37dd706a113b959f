"""Groups against each other: the metric of each, and rates of predicted classes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.evaluation.compare import Subgroup
from pipeline.evaluation.metrics import METRICS, Scored, Undefined, compute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def subgroups(
    metric: str,
    challenger: Scored,
    champion: Scored | None,
    columns: "Mapping[str, NDArray[np.object_]]",
    min_rows: int,
) -> tuple[Subgroup, ...]:
    """Every subgroup, with why it was not judged where it has too few rows or no value."""
    import numpy as np

    found = []
    for column, values in columns.items():
        names = np.array(["(missing)" if value != value else str(value) for value in values])
        for name in sorted(set(names.tolist())):
            rows = np.flatnonzero(names == name)
            if len(rows) < min_rows:
                why = f"fewer than {min_rows} rows"
                found.append(Subgroup(column, name, len(rows), why=why))
                continue
            try:
                new = compute(metric, challenger.take(rows))
                old = compute(metric, champion.take(rows)) if champion else None
            except Undefined as error:
                found.append(Subgroup(column, name, len(rows), why=str(error)))
                continue
            loss = None if old is None else METRICS[metric].sign * (old - new)
            part = rates(challenger.take(rows))
            found.append(Subgroup(column, name, len(rows), old, new, loss, rates=part))
    return tuple(found)


def rates(scored: Scored) -> dict[str, float]:
    """Rates that fairness criteria compare; a rate without rows is left out.

    With a positive class: how often rows have it and are given it (equal rates of the latter are
    demographic parity), and how often it is found and falsely raised (equalized odds; Hardt, Price
    and Srebro, Equality of Opportunity in Supervised Learning, 2016). For numbers: the mean error.
    """
    import numpy as np

    if scored.score is None:
        return {"mean error": float(np.mean(scored.label - scored.truth))}
    if len(scored.classes) != 2:
        return {}
    truth, given = scored.truth == scored.positive, scored.label == scored.positive
    found = {"are positive": truth.mean(), "called positive": given.mean()}
    if truth.any():
        found["true positive rate"] = given[truth].mean()
    if not truth.all():
        found["false positive rate"] = given[~truth].mean()
    return {name: float(value) for name, value in found.items()}
