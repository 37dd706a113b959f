"""Plots that people read, from predictions that the model did not train on."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.evaluation.metrics import Scored, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save_plots(folder: Path, task: Task, scored: Scored) -> list[Path]:
    """Write one small PNG for each plot of the task."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in _PLOTS[task].items():
        # No pyplot: it keeps global state and looks for a display.
        figure = Figure(figsize=(4.5, 4.0), dpi=80)
        FigureCanvasAgg(figure)
        # Fixed margins: a layout engine would draw everything twice.
        figure.subplots_adjust(left=0.2, right=0.95, bottom=0.15, top=0.9)
        draw(figure.add_subplot(), scored)
        path = folder / f"{name}.png"
        figure.savefig(path)
        written.append(path)
    return written


def _roc(axes: "Axes", scored: Scored) -> None:
    from sklearn.metrics import roc_curve

    assert scored.score is not None
    false, true, _ = roc_curve(scored.truth == scored.positive, scored.score[:, scored.positive])
    axes.plot(false, true)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")


def _precision_recall(axes: "Axes", scored: Scored) -> None:
    from sklearn.metrics import precision_recall_curve

    assert scored.score is not None
    precision, recall, _ = precision_recall_curve(
        scored.truth == scored.positive, scored.score[:, scored.positive]
    )
    axes.plot(recall, precision)
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))


def _calibration(axes: "Axes", scored: Scored) -> None:
    from sklearn.calibration import calibration_curve

    assert scored.score is not None
    truth, predicted = calibration_curve(
        scored.truth == scored.positive,
        scored.score[:, scored.positive],
        n_bins=10,
        strategy="quantile",
    )
    axes.plot(predicted, truth, marker="o")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(xlabel="predicted probability", ylabel="observed fraction", title="Calibration")


def _confusion(axes: "Axes", scored: Scored) -> None:
    from sklearn.metrics import confusion_matrix

    names = list(scored.classes)
    counts = confusion_matrix(scored.truth, scored.label, labels=range(len(names)))
    axes.imshow(counts, cmap="Blues")
    for row, column in ((row, column) for row in range(len(names)) for column in range(len(names))):
        dark = counts[row, column] > (counts.min() + counts.max()) / 2
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    ticks = range(len(names))
    axes.set(xticks=ticks, xticklabels=names, yticks=ticks, yticklabels=names)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion")


def _residuals(axes: "Axes", scored: Scored) -> None:
    axes.scatter(scored.label, scored.truth - scored.label, s=8, alpha=0.5)
    axes.axhline(0, linestyle=":", color="grey")
    axes.set(xlabel="predicted", ylabel="true - predicted", title="Residuals")


def _agreement(axes: "Axes", scored: Scored) -> None:
    axes.scatter(scored.label, scored.truth, s=8, alpha=0.5)
    bounds = [float(scored.truth.min()), float(scored.truth.max())]
    axes.plot(bounds, bounds, linestyle=":", color="grey")
    axes.set(xlabel="predicted", ylabel="true", title="Predicted and true")


_PLOTS: dict[Task, dict[str, Callable[["Axes", Scored], None]]] = {
    "binary": {
        "roc": _roc,
        "precision_recall": _precision_recall,
        "calibration": _calibration,
        "confusion": _confusion,
    },
    "multiclass": {"confusion": _confusion},
    "regression": {"residuals": _residuals, "predicted_true": _agreement},
}
