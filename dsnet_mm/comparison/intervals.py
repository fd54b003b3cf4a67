"""Means over seeds, and confidence intervals of paired differences."""
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats


def summarize(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where too few values define it."""
    return (float(np.mean(values)) if len(values) else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None)


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> dict:
    """The mean of a minus b over the seeds of both, with Student's 95% confidence interval.

    Args:
        a (Mapping): A value for each seed.
        b (Mapping): The values that ``a`` is compared to.

    Returns:
        dict: ``mean`` (None without a common seed), ``ci95`` (low and high; None with fewer than
        two common seeds) and ``n``, the number of common seeds.
    """
    differences = [a[seed] - b[seed] for seed in a if seed in b]
    n = len(differences)
    mean, std = summarize(differences)
    if std is None:
        return dict(mean=mean, ci95=None, n=n)
    margin = float(stats.t.ppf(0.975, n - 1)) * std / n**0.5
    return dict(mean=mean, ci95=[mean - margin, mean + margin], n=n)


def verdict(difference: Mapping) -> str:
    """The verdict on a paired difference, in words.

    'better' means that the whole interval lies above zero, 'worse' that it lies below. An interval
    that touches zero shows no difference, which is not to say that there is none. A difference that
    is the same in all seeds (variants that learn nothing, or rounding) has no interval.
    """
    if difference['n'] == 0:
        return 'no common seed'
    if difference['ci95'] is None:
        return 'one seed, no interval'
    low, high = difference['ci95']
    if low != 0 and math.isclose(low, high, rel_tol=1e-6):
        return 'equal in all seeds, no interval'
    return 'better' if low > 0 else 'worse' if high < 0 else 'no difference shown'


def breakdown(results: Mapping, part: str) -> dict[str, dict[str, dict[str, float]]]:
    """The defined values of the runs by label, variant and seed.

    Args:
        results (Mapping): The contents of results.json.
        part (str): ``'per_class'`` or ``'per_size'``.
    """
    labels = dict.fromkeys(results['classes'] if part == 'per_class' else ())
    labels.update(dict.fromkeys(label for run in results['runs'] for label in run[part] or ()))
    return {label: {variant: {str(run['seed']): run[part][label] for run in results['runs']
                              if run['arm'] == variant and (run[part] or {}).get(label) is not None}
                    for variant in results['arms']} for label in labels}
