"""Drift of a batch against a reference: how far each column moved, and whether by chance."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.settings import Monitor

if TYPE_CHECKING:
    import pandas as pd


_BINS, _SHOWN = 12, 10


@dataclass(frozen=True)
class ColumnDrift:
    """One column's move. `distance` is between 0 (same) and 1; `p_value` is corrected."""

    column: str
    kind: Literal["number", "category"]
    measure: str
    distance: float
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """Every column's drift, and what follows from it."""

    rows: int
    reference_rows: int
    inputs: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    drifted_fraction: float
    inputs_drifted: bool
    predictions_drifted: bool


def compare(
    batch: "pd.DataFrame",
    reference: "pd.DataFrame",
    inputs: list[str],
    predictions: list[str],
    settings: Monitor,
) -> DriftReport:
    """Compare a batch with the reference, column by column.

    A column drifted when its distance exceeds the threshold *and* the difference is significant
    after correction for the number of columns, so that neither a small batch nor a large one
    raises an alarm by its size. Inputs drifted when too large a part of the columns did.
    """
    moved = _measure(batch, reference, inputs, settings.column_threshold, settings.significance)
    outputs = _measure(
        batch, reference, predictions, settings.prediction_threshold, settings.significance
    )
    fraction = sum(column.drifted for column in moved) / len(moved) if moved else 0.0
    return DriftReport(
        rows=len(batch),
        reference_rows=len(reference),
        inputs=moved,
        predictions=outputs,
        drifted_fraction=fraction,
        inputs_drifted=fraction > settings.max_drifted_fraction,
        predictions_drifted=any(column.drifted for column in outputs),
    )


def _measure(
    batch: "pd.DataFrame",
    reference: "pd.DataFrame",
    columns: list[str],
    threshold: float,
    significance: float,
) -> tuple[ColumnDrift, ...]:
    """Distances, with p-values corrected by Benjamini and Hochberg."""
    import pandas as pd
    from scipy.stats import false_discovery_control  # type: ignore[import-untyped]

    if not columns:
        return ()
    numeric = {name: pd.api.types.is_numeric_dtype(reference[name]) for name in columns}
    raw = [
        (_number if numeric[name] else _category)(batch[name], reference[name]) for name in columns
    ]
    corrected = false_discovery_control([p_value for _, p_value in raw])
    return tuple(
        ColumnDrift(
            column=name,
            kind="number" if numeric[name] else "category",
            measure="Kolmogorov-Smirnov" if numeric[name] else "total variation",
            distance=distance,
            p_value=float(p_value),
            drifted=bool(distance > threshold and p_value < significance),
        )
        for name, (distance, _), p_value in zip(columns, raw, corrected, strict=True)
    )


def _number(batch: "pd.Series", reference: "pd.Series") -> tuple[float, float]:
    """Kolmogorov and Smirnov's statistic over the values, or the null rate's move if larger."""
    from scipy.stats import ks_2samp

    missing = _category(batch.isna().astype(str), reference.isna().astype(str))
    new, old = batch.dropna(), reference.dropna()
    if new.empty or old.empty:
        return missing
    found = ks_2samp(new.astype(float), old.astype(float))
    present = (float(found.statistic), float(found.pvalue))
    return max(present, missing)


def _category(batch: "pd.Series", reference: "pd.Series") -> tuple[float, float]:
    """Total variation distance of the shares, and the chi-squared test's p-value."""
    import pandas as pd
    from scipy.stats import chi2_contingency

    counts = pd.DataFrame(
        {
            "batch": batch.astype(object).fillna("(missing)").value_counts(),
            "reference": reference.astype(object).fillna("(missing)").value_counts(),
        }
    ).fillna(0)
    if len(counts) < 2:
        return 0.0, 1.0
    shares = counts / counts.sum()
    distance = float((shares["batch"] - shares["reference"]).abs().sum() / 2)
    return distance, float(chi2_contingency(counts.to_numpy()).pvalue)


Spread = tuple[list[str], list[float], list[float]]


def spread(batch: "pd.Series", reference: "pd.Series") -> Spread:
    """Bins or categories of a column, and the share of each in the reference and in the batch.

    What is missing is a bin of its own, where there is any.
    """
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(reference) and reference.notna().any()
    names, before, now = (_bins if numeric else _frequent)(batch, reference)
    missing = [float(part.isna().sum() / max(len(part), 1)) for part in (reference, batch)]
    if any(missing):
        names, before, now = [*names, "(missing)"], [*before, missing[0]], [*now, missing[1]]
    return names, before, now


def _bins(batch: "pd.Series", reference: "pd.Series") -> Spread:
    """Bins between the reference's 1st and 99th percentile, and the rest beside them."""
    import numpy as np

    known = reference.dropna().to_numpy(float)
    low, high = np.quantile(known, 0.01), np.quantile(known, 0.99)
    edges = np.unique(np.linspace(low, high, _BINS + 1))
    names = [
        f"up to {edges[0]:.4g}",
        *(f"{start:.4g} to {end:.4g}" for start, end in itertools.pairwise(edges)),
        f"above {edges[-1]:.4g}",
    ]
    shares = [
        np.bincount(np.searchsorted(edges, part.dropna().to_numpy(float)), minlength=len(edges) + 1)
        / max(len(part), 1)
        for part in (reference, batch)
    ]
    return names, shares[0].tolist(), shares[1].tolist()


def _frequent(batch: "pd.Series", reference: "pd.Series") -> Spread:
    """The most frequent categories of both, and the others together."""
    import pandas as pd

    parts = [part.dropna().astype(str) for part in (reference, batch)]
    names = [str(name) for name in pd.concat(parts).value_counts().index[:_SHOWN]]
    before, now = (
        [float((part == name).sum() / max(len(whole), 1)) for name in names]
        for part, whole in zip(parts, (reference, batch), strict=True)
    )
    others = [
        float((~part.isin(names)).sum() / max(len(whole), 1))
        for part, whole in zip(parts, (reference, batch), strict=True)
    ]
    if any(others):
        return [*names, "(others)"], [*before, others[0]], [*now, others[1]]
    return names, before, now
