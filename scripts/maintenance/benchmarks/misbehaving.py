"""A challenger that misbehaves, for the benchmark of shadow traffic."""

from __future__ import annotations

import os
import time
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin

# A model is tried on two rows when it is loaded; it must get through that.
_TRIED = 2


class Misbehaving(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers two rows at once well; one row or more than two make it slow, hang or crash."""

    def __init__(self, mode: str = "slow", seconds: float = 0.3) -> None:
        self.mode, self.seconds = mode, seconds

    def fit(self, table: Any, target: Any) -> Misbehaving:
        """Remember columns and classes."""
        import numpy as np

        self.classes_ = np.unique(target)
        self.feature_names_in_ = np.array(list(table), dtype=object)
        return self

    def predict_proba(self, table: Any) -> Any:
        """The same chances for each row, if it answers."""
        import numpy as np

        if len(table) != _TRIED:
            if self.mode == "crash":
                os._exit(11)
            time.sleep(3600 if self.mode == "hang" else self.seconds)
        return np.tile([0.25, 0.75], (len(table), 1))

    def predict(self, table: Any) -> Any:
        """The more probable class."""
        return self.classes_[self.predict_proba(table).argmax(axis=1)]
