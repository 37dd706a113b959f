"""How many observations an A/B test needs, computed before it begins."""

import math
from dataclasses import dataclass
from functools import cache

from pipeline.rollouts.stats.sequential import boundary

_STEPS = 400
_CELL = 0.01
# A boundary that is looked at in steps is crossed less often than one that is watched; moved by
# 0.5826 standard deviations of a step both agree. Siegmund, "Sequential Analysis" (1985), X.2.
_SHIFT = 0.5826


@dataclass(frozen=True)
class Design:
    """What the test is to find: a difference of `effect` between the arms' means.

    `control_sd` and `treatment_sd` are standard deviations of one observation, `share` is the
    challenger's part of the traffic.
    """

    effect: float
    control_sd: float
    treatment_sd: float
    share: float = 0.5
    alpha: float = 0.05
    power: float = 0.8


@dataclass(frozen=True)
class Size:
    """Observations in both arms together: of this test, and of one that may be read only once."""

    sequential: int
    fixed: int


def sample_size(design: Design) -> Size:
    """Total observations after which the test has found the effect with the wanted power."""
    from statistics import NormalDist

    normal = NormalDist()
    treated, kept = design.treatment_sd**2, design.control_sd**2
    pooled = design.share * treated + (1 - design.share) * kept
    # As the test takes them: each at least the pooled one.
    spread = math.sqrt(max(treated, pooled) / design.share + max(kept, pooled) / (1 - design.share))
    once = normal.inv_cdf(1 - design.alpha / 2) + normal.inv_cdf(design.power)
    watched = drift(design.alpha, design.power)
    scale = (spread / abs(design.effect)) ** 2
    return Size(math.ceil(watched**2 * scale), math.ceil(once**2 * scale))


@cache
def drift(alpha: float, power: float) -> float:
    """The effect in standard errors at the end that is found by then with probability `power`."""
    low, high = 0.0, 20.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if crossing(middle, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def crossing(theta: float, alpha: float) -> float:
    """Probability that Brownian motion with drift `theta` leaves the boundary before time 1.

    By recursive numerical integration of its density inside the boundary (Armitage, McPherson and
    Rowe, "Repeated significance tests on accumulating data", JRSS A 132 (1969)).
    """
    import numpy as np

    step = 1 / _STEPS
    times = np.arange(1, _STEPS + 1) * step
    limits = np.sqrt(times) * boundary(times, alpha) - _SHIFT * math.sqrt(step)
    places = np.arange(-limits.max(), limits.max() + _CELL, _CELL)
    reach = math.ceil((5 * math.sqrt(step) + theta * step) / _CELL)
    moves = np.arange(-reach, reach + 1) * _CELL
    kernel = np.exp(-((moves - theta * step) ** 2) / (2 * step))
    kernel /= kernel.sum()
    density = np.zeros(len(places))
    density[np.abs(places).argmin()] = 1.0
    for limit in limits:
        density = np.convolve(density, kernel, mode="same")
        density[np.abs(places) >= limit] = 0.0
    return float(1 - density.sum())
