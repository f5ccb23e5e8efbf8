import itertools

from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.halving import least_budget, shares, sizes


@given(st.integers(1, 40), st.integers(1, 5))
def test_halving_ends_with_the_finalists(candidates, finalists):
    found = sizes(candidates, finalists)
    if candidates <= finalists:
        assert found == []
        return
    assert found[0] == candidates
    assert found == sorted(set(found), reverse=True)
    assert found[-1] <= 2 * finalists
    assert all(small <= -(-big // 2) or small == finalists for big, small in itertools.pairwise(found))


rounds = st.lists(st.integers(1, 60), max_size=4).map(lambda found: sorted(found, reverse=True))


@given(rounds, st.integers(1, 40), st.integers(1, 10_000))
def test_no_more_than_the_budget_is_spent_and_the_last_round_has_twice_the_steps(screens, last, budget):
    found = shares(budget, screens, last)
    assert sum(steps * runs for steps, runs in zip(found, [*screens, last], strict=True)) <= budget
    assert found[:-1] == sorted(found[:-1])
    if screens:
        assert found[-1] >= 2 * found[-2] - 1


@given(rounds, st.integers(1, 40), st.integers(1, 50))
def test_the_least_budget_is_just_enough(screens, last, least):
    budget = least_budget(screens, last, least)
    assert min(shares(budget, screens, last)) >= least
    assert min(shares(budget - 1, screens, last)) < least


def test_shares_by_hand():
    # 8 and 4 candidates, then 2 with 4 controls: a round costs 80, so that the last has 6 runs of 40 steps
    assert shares(400, [8, 4], 6) == [10, 20, 40]
    assert shares(400, [], 4) == [100]
    assert sizes(8, 2) == [8, 4]
