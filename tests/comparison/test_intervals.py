"""The statistics are those of scipy and numpy."""
from dsnet_mm.comparison.intervals import PairedDifference, paired, summarize, verdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

VALUE = st.floats(0, 100)
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=2, max_size=8)


def by_seed(values) -> dict[str, float]:
    return {str(seed): value for seed, value in enumerate(values)}


@given(st.lists(VALUE, min_size=2, max_size=8))
def test_summary(values):
    mean, std = summarize(values)
    assert mean == pytest.approx(np.mean(values))
    assert std == pytest.approx(stats.sem(values) * len(values)**0.5, abs=1e-9)


def test_summary_of_few():
    assert summarize([3.0]) == (3.0, None)
    assert summarize([]) == (None, None)


@given(PAIRS)
def test_interval(pairs):
    a, b = np.array(pairs).T
    assume(np.ptp(a - b) > 1e-6)  # scipy's test has no interval where nothing varies
    difference = paired(by_seed(a), by_seed(b))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert difference.ci95 == pytest.approx([expected.low, expected.high], abs=1e-7)
    assert difference.mean == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    assert difference.n == len(pairs)


@given(PAIRS)
def test_swapped_variants_swap_the_verdict(pairs):
    a, b = (by_seed(values) for values in zip(*pairs))
    opposite = {'better': 'worse', 'worse': 'better'}
    there, back = verdict(paired(a, b)), verdict(paired(b, a))
    assert back == opposite.get(there, there)


def test_by_hand():
    # Differences 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.3027.
    difference = paired(by_seed([11, 12, 13]), by_seed([10, 10, 10]))
    assert difference.mean == 2
    assert difference.ci95 == pytest.approx([2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5], abs=1e-4)
    assert verdict(difference) == 'no difference shown'


def test_only_common_seeds_count():
    difference = paired({'2': 5.0, '0': 1.0, '7': 90.0}, {'0': 0.0, '1': 50.0, '2': 3.0})
    assert (difference.mean, difference.n) == (1.5, 2)


@pytest.mark.parametrize('ci95, expected', [
    ([0.1, 2.0], 'better'), ([-2.0, -0.1], 'worse'), ([-0.1, 2.0], 'no difference shown'),
    ([0.0, 2.0], 'no difference shown'), ([-2.0, 0.0], 'no difference shown')])
def test_verdict(ci95, expected):
    assert verdict(PairedDifference(sum(ci95) / 2, ci95, 3)) == expected


@pytest.mark.parametrize('shift, expected', [
    (0.0, 'no difference shown'), (0.5, 'equal in all seeds, no interval'),
    (-0.5, 'equal in all seeds, no interval')])
def test_equal_differences(shift, expected):
    difference = paired(by_seed([1 + shift, 2 + shift]), by_seed([1.0, 2.0]))
    assert difference == PairedDifference(shift, [shift, shift], 2)
    assert verdict(difference) == expected


def test_one_and_no_common_seed():
    one = paired({'0': 2.0, '1': 9.0}, {'0': 1.0})
    assert one == PairedDifference(1.0, None, 1)
    assert verdict(one) == 'one seed, no interval'
    none = paired({'0': 2.0}, {'1': 1.0})
    assert none == PairedDifference(None, None, 0)
    assert verdict(none) == 'no common seed'
