"""Target leakage: refuse copies of the target, warn about near copies."""

from typing import TYPE_CHECKING

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError
from pipeline.reading.formats import line

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 5000
_FEWEST = 10
_ALMOST = 0.995
_MOST_COLUMNS = 300


def check(table: "pd.DataFrame", contract: SchemaContract) -> list[str]:
    """Warnings about features of which one alone almost gives the target away.

    Raises InputError for those that are the target in other words, all at once.
    """
    sample = table.sample(min(len(table), _ROWS), random_state=0)
    found = [name for name in contract.inputs if _is_copy(table, name, contract)]
    copies = list(dict.fromkeys(contract.column_of(name) for name in found))
    if copies:
        names = ", ".join(map(repr, copies))
        one = len(copies) == 1
        raise InputError(
            f"the column{'' if one else 's'} {names} {'is a copy' if one else 'are copies'} of the "
            f"target {contract.target!r}, from which a model learns nothing: write under [data] "
            f"{line('drop', copies)}, with what stands there already"
        )
    judge = _explained if contract.classes == [] else _ranked
    found = []
    for name, kind in contract.inputs.items():
        of_kind = judge if kind == "number" else _told_by_category
        # Words of a text are not looked at.
        share = 0.0 if kind == "text" else of_kind(sample[name], sample[contract.target])
        if share > _ALMOST:
            found.append(
                f"{name} alone almost determines {contract.target} ({share:.4f} of 1): is it known "
                "before the target is? If not, add it to drop under [data]"
            )
    found += _determined_by_gaps(sample, contract)
    if not contract.classes and (names_of := _sum_of(sample, contract)):
        found.append(
            f"{contract.target} is a sum of {', '.join(names_of)}: are they known before it is? If "
            "not, add them to drop under [data]"
        )
    return found


def _determined_by_gaps(sample: "pd.DataFrame", contract: SchemaContract) -> list[str]:
    """Warnings about columns that have gaps, where the gaps determine the target."""
    judge = _explained if contract.classes == [] else _ranked
    names: dict[str, None] = {}
    for name in contract.inputs:
        empty = sample[name].isna()
        if empty.any() and judge(empty.astype(float), sample[contract.target]) > _ALMOST:
            names.setdefault(contract.column_of(name))
    return [
        f"whether {name} is missing alone almost determines {contract.target}: is it known before "
        "the target is? If not, add it to drop under [data]"
        for name in names
    ]


def _is_copy(table: "pd.DataFrame", name: str, contract: SchemaContract) -> bool:
    import numpy as np
    import pandas as pd

    target, values = table[contract.target], table[name]
    both = (target.notna() & values.notna()).to_numpy()
    if both.sum() < _FEWEST:
        return False
    truth, values = target[both], values[both]
    number = not contract.classes and contract.inputs[name] == "number"
    # A target with one value says nothing, and neither do names that all differ.
    if not 1 < truth.nunique() < len(truth) and not number:
        return False
    if number:
        if values.nunique() < 2 or truth.nunique() < 2:
            return False
        with np.errstate(all="ignore"):
            pair = np.corrcoef(truth.astype(float), values.astype(float))
        return bool(abs(pair[0, 1]) > 1 - 1e-9)
    return bool((pd.factorize(truth)[0] == pd.factorize(values)[0]).all())


def _ranked(values: "pd.Series", target: "pd.Series") -> float:
    """The best of each class's ROC AUC by this number alone, whichever way it points."""
    import numpy as np
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    numbers = values.to_numpy(dtype=float)
    known = ~np.isnan(numbers)
    classes = target.to_numpy(dtype=object)[known]
    ranks = rankdata(numbers[known])
    areas = []
    for name in dict.fromkeys(classes.tolist()):
        mine = classes == name
        ones, zeros = int(mine.sum()), int((~mine).sum())
        if min(ones, zeros) < _FEWEST or known.mean() < 0.5:
            return 0.0
        area = (ranks[mine].sum() - ones * (ones + 1) / 2) / (ones * zeros)
        areas.append(max(area, 1 - area))
    # Of several classes all must be separated, or one easy class would raise the alarm.
    return float(min(areas, default=0.0))


def _explained(values: "pd.Series", target: "pd.Series") -> float:
    """Spearman's rank correlation, squared."""
    import numpy as np
    from scipy.stats import rankdata

    numbers, truth = values.to_numpy(dtype=float), target.to_numpy(dtype=float)
    known = ~np.isnan(numbers) & ~np.isnan(truth)
    if known.sum() < 2 * _FEWEST or known.mean() < 0.5:
        return 0.0
    first, second = rankdata(numbers[known]), rankdata(truth[known])
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1] ** 2)


def _told_by_category(values: "pd.Series", target: "pd.Series") -> float:
    """How much the other rows of a category tell: of classes the mean recall, else R squared.

    A row is left out of its own category, so that names that hardly come again tell nothing.
    """
    import numpy as np
    import pandas as pd

    codes = pd.factorize(values, use_na_sentinel=False)[0]
    if target.dtype.kind == "f":
        numbers = target.to_numpy(dtype=float)
        rows = np.bincount(codes)[codes]
        means = (np.bincount(codes, numbers) / np.bincount(codes))[codes]
        # What a row deviates from the others of its category; one alone tells nothing.
        rest = (numbers - means) * rows / np.maximum(rows - 1, 1)
        rest = np.where(rows > 1, rest, numbers - numbers.mean())
        spread = float(((numbers - numbers.mean()) ** 2).sum())
        return 1 - float((rest**2).sum()) / spread if spread else 0.0
    truth, names = pd.factorize(target)
    counts = np.bincount(codes * len(names) + truth, minlength=(codes.max() + 1) * len(names))
    counts = counts.reshape(-1, len(names))
    if counts.sum(axis=0).min() < _FEWEST:
        return 0.0
    others = np.array([np.delete(counts, place, 1).max(axis=1) for place in range(len(names))]).T
    right = np.where(counts - 1 > others, counts, 0).sum(axis=0)
    return float((right / counts.sum(axis=0)).mean())


def _sum_of(table: "pd.DataFrame", contract: SchemaContract) -> list[str]:
    """The few columns of which the target is a weighted sum, exactly; else none."""
    import numpy as np

    names = [name for name, kind in contract.inputs.items() if kind == "number"][:_MOST_COLUMNS]
    numbers = table[[*names, contract.target]].dropna().to_numpy(dtype=float)
    if len(numbers) < 3 * (len(names) + _FEWEST) or not names:
        return []
    features, truth = numbers[:, :-1], numbers[:, -1]
    spread = features.std(axis=0)
    used = spread > 0
    if not used.any():
        return []
    scaled = (features[:, used] - features[:, used].mean(axis=0)) / spread[used]
    centred = truth - truth.mean()
    weights, *_ = np.linalg.lstsq(scaled, centred, rcond=None)
    rest = float(((centred - scaled @ weights) ** 2).sum() / max((centred**2).sum(), 1e-300))
    heavy = np.abs(weights) > 1e-6 * np.abs(weights).max()
    if rest > 1e-12 or not 2 <= heavy.sum() <= 5:
        return []
    return [name for name, kept in zip(np.array(names)[used], heavy, strict=True) if kept]
