"""Means over seeds, and confidence intervals of paired differences."""
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass
class PairedDifference:
    """The mean of a minus b over the seeds that both have, with Student's interval for pairs."""
    mean: float | None  # None without a common seed
    ci95: list[float] | None  # low and high end; None with fewer than two common seeds
    n: int  # of common seeds


def summarize(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where there are too few values."""
    return (float(np.mean(values)) if len(values) else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None)


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> PairedDifference:
    """The difference a minus b of values by seed."""
    differences = [a[seed] - b[seed] for seed in a if seed in b]
    n = len(differences)
    mean, std = summarize(differences)
    if mean is None or std is None:
        return PairedDifference(mean, None, n)
    margin = float(stats.t.ppf(0.975, n - 1)) * std / n**0.5
    return PairedDifference(mean, [mean - margin, mean + margin], n)


def verdict(difference: PairedDifference) -> str:
    """Says in words whether the whole interval lies above zero (better) or below it (worse).

    A difference that is the same in all seeds (variants without learned parameters, or rounding)
    has no interval.
    """
    if difference.n == 0:
        return 'no common seed'
    if difference.ci95 is None:
        return 'one seed, no interval'
    low, high = difference.ci95
    if low != 0 and math.isclose(low, high, rel_tol=1e-6):
        return 'equal in all seeds, no interval'
    return 'better' if low > 0 else 'worse' if high < 0 else 'no difference shown'
