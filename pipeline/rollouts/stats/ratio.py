"""Did each arm get its share? A test of the sample ratio that may be looked at at any time.

A ratio that is off means that assignment, logging or a crash prefers one arm: then no effect can
be believed (Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments",
KDD 2019). The test is the multinomial one of Lindon and Malek, "Anytime-valid inference for
multinomial count data", NeurIPS 2022, https://arxiv.org/abs/2011.03567.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.rollouts.policy import Variant

# Weight of the prior around the wanted shares, in observations.
_CONCENTRATION = 100.0


@dataclass(frozen=True)
class Ratio:
    """How many units each arm got; `p_value` is valid at any time, small where shares are wrong."""

    counts: Mapping[Variant, int]
    expected: Mapping[Variant, float]
    p_value: float

    @property
    def shown(self) -> str:
        """The counts in words."""
        return " and ".join(
            f"{self.counts.get(name, 0)} keys to the {name}" for name in self.expected
        )


def check(counts: Mapping[Variant, int], shares: Mapping[Variant, float]) -> Ratio:
    """Compare counts with the shares that the policy gives. The shares sum to 1."""
    expected = {name: share for name, share in shares.items() if share > 0}
    evidence = _log_evidence(counts, expected)
    return Ratio(dict(counts), expected, math.exp(-max(evidence, 0.0)))


def _log_evidence(counts: Mapping[Variant, int], shares: Mapping[Variant, float]) -> float:
    """Logarithm of the Bayes factor against the wanted shares."""
    total = sum(counts.get(name, 0) for name in shares)
    found = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + total)
    for name, share in shares.items():
        prior, count = _CONCENTRATION * share, counts.get(name, 0)
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found
