"""The plan keeps its word for every combination of composition, order and rate that conf/ offers."""

import inspect
import io
from collections import Counter
from fractions import Fraction
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mtl.cli.conf import conf_dir
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.quota import Quota
from mtl.strategies.switching.rate.base import Rate

SIZES = {"a": 10, "b": 30, "c": 60}
sizes = st.lists(st.integers(1, 5000), min_size=1, max_size=9).map(
    lambda found: dict(zip("abcdefghi", found, strict=False))
)


def options(group):
    """Option name -> its class with the defaults of its file."""
    found = {}
    for path in sorted((conf_dir() / "switching" / group).glob("*.yaml")):
        node = OmegaConf.to_container(OmegaConf.load(path))
        module, _, name = node.pop("_target_").rpartition(".")
        assert node.pop("_partial_") is True
        found[path.stem] = partial(getattr(import_module(module), name), **node)
    return found


COMPOSITIONS, ORDERS, RATES = options("composition"), options("order"), options("rate")
ORDERS["blocks"] = partial(ORDERS["blocks"].func, length=3)
TRIPLES = list(product(COMPOSITIONS, ORDERS, RATES))


def plan(
    composition="stratified", order="joint", rate="uniform", found=SIZES, batch_size=4, steps=40, seed=0, block=10
):
    order = (
        partial(ORDERS[order], difficulty={name: n for n, name in enumerate(found)})
        if order == "curriculum"
        else ORDERS[order]
    )
    made = Plan(found, batch_size, steps, seed, COMPOSITIONS[composition], order, RATES[rate], block)
    made.rate.baselines(dict.fromkeys(found, 0.9))
    return made


def tell(made, step, rows):
    """A step as training would tell it: losses that differ by task and fall, each a function of the step alone."""
    places = torch.tensor([list(made.sizes).index(name) for name in rows])
    losses = torch.tensor([(1 + place) / (1 + 0.1 * step) for place in places.tolist()])
    gramian = torch.eye(len(places)) + 0.3 if made.rate.needs_gramian else None
    made.tally.add(places, losses, torch.tensor([float(n) for n in rows.values()]).double(), 0.01, gramian)
    if step % 7 == 6:
        made.tally.scores = torch.linspace(0.1, 0.8, len(made.sizes)).double() + 0.001 * step


def sequence(made, start=0, stop=None):
    found = []
    for step in range(start, made.steps if stop is None else stop):
        rows = made.rows(step)
        tell(made, step, rows)
        found.append(list(rows.items()))
    return found


@settings(max_examples=150)
@given(st.sampled_from(TRIPLES), sizes, st.integers(1, 5), st.integers(3, 60), st.integers(1, 25), st.integers(0, 3))
def test_realised_is_planned_for_every_combination(triple, found, batch_size, steps, block, seed):
    made = plan(*triple, found, batch_size, steps, seed, block)
    came = Counter(dict.fromkeys(found, 0))
    for rows in sequence(made):
        assert all(count > 0 for _, count in rows)
        came.update(dict(rows))
        total = sum(count for _, count in rows)
        assert total == (made.composition.rows if triple[0] != "grouped" else total)
        if triple[0] in ("homogeneous", "grouped"):
            assert len(rows) == 1  # groups hold one task each by default
    assert came == made.planned


@pytest.mark.parametrize("triple", TRIPLES, ids="-".join)
def test_a_plan_goes_on_after_a_kill_at_any_step(triple):
    whole = sequence(plan(*triple))
    for stop in (0, 1, 9, 10, 11, 25, 39):
        first = plan(*triple)
        sequence(first, stop=stop)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        resumed = plan(*triple)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert sequence(resumed, stop) == whole[stop:]
        assert resumed.planned == Counter(dict.fromkeys(SIZES, 0)) + sum((Counter(dict(r)) for r in whole), Counter())


@given(sizes, st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
@example({"a": 10, "b": 1000, "c": 100, "d": 1000}, 1, 150, 0)  # the furthest-behind rule strays by 1.02 here
@example(dict(zip("abcdefghij", [2, 10, 1000, 10, 1000, 100, 10, 100, 1000, 10], strict=True)), 1, 150, 0)
def test_counts_are_within_one_step_of_their_share_after_any_number_of_blocks(found, block, blocks, seed):
    made, counts = plan("homogeneous", "shuffled", "proportional", found, 4, block * blocks, seed, block), Counter()
    for step in range(block * blocks):
        counts.update(list(made.rows(step)))
        if (step + 1) % block == 0:
            for name, size in found.items():
                assert abs(counts[name] - Fraction((step + 1) * size, sum(found.values()))) < 1 + 1e-6


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda r: sum(r) > 0.1), min_size=1, max_size=30),
    st.integers(1, 40),
)
def test_a_quota_whose_rates_move_always_gives_whole_counts_that_sum_and_loses_nothing(rates, units):
    quota, given_, due = Quota(4), torch.zeros(4), torch.zeros(4, dtype=torch.float64)
    for row in rates:
        share = torch.tensor(row, dtype=torch.float64) / sum(row)
        counts = quota.draw(share, units)
        assert int(counts.sum()) == units
        assert bool((counts >= 0).all())
        given_, due = given_ + counts, due + share * units
        torch.testing.assert_close(quota.owed, due - given_, atol=1e-6, rtol=0)


def test_a_task_whose_rate_is_zero_gets_nothing():
    quota = Quota(3)
    for _ in range(20):
        assert quota.draw(torch.tensor([0.0, 0.5, 0.5]), 7)[0] == 0


def test_joint_asks_every_task_in_the_order_of_the_run():
    assert sequence(plan(batch_size=8))[5] == [("a", 8), ("b", 8), ("c", 8)]


def test_round_robin_asks_one_task_in_turn():
    found = sequence(plan("homogeneous", "round_robin", batch_size=8, block=9))
    assert found[:10] == [[(name, 8)] for name in "abcabcabca"]


def test_a_block_that_can_be_exact_is():
    found = sequence(plan("homogeneous", "shuffled", "proportional"), stop=10)
    assert Counter(name for [(name, _)] in found) == {"a": 1, "b": 3, "c": 6}


def test_shuffled_is_shuffled_by_its_seed_and_anew_in_each_block():
    def made(seed):
        return sequence(plan("homogeneous", "shuffled", "proportional", steps=200, block=100, seed=seed))

    first = made(0)
    assert first == made(0)
    assert first != made(1)
    assert first[:100] != first[100:]
    assert sorted(first[:100]) == sorted(first[100:])


def test_blocks_are_whole_visits():
    found = [name for [(name, _)] in sequence(plan("homogeneous", "blocks", steps=36))]
    assert "".join(found) == "aaabbbccc" * 4


def test_visits_follow_the_rate():
    found = Counter(name for [(name, _)] in sequence(plan("mixed", "blocks", "proportional", steps=90, block=90)))
    assert found == {"a": 9, "b": 27, "c": 54}


def test_sequential_has_each_task_once_over_the_whole_run():
    order = partial(ORDERS["sequential"], tasks=["c", "a", "b"])
    made = Plan(SIZES, 4, 40, 0, COMPOSITIONS["homogeneous"], order, RATES["proportional"])
    assert "".join(name for [(name, _)] in sequence(made)) == "c" * 24 + "a" * 4 + "b" * 12


def test_a_curriculum_begins_with_the_easiest_task_and_ends_with_all():
    joins = []
    for ramp in (0.0, 0.5, 0.9):
        order = partial(ORDERS["curriculum"], difficulty={"a": 3, "b": 1, "c": 2}, ramp=ramp)
        found = sequence(Plan(SIZES, 4, 400, 0, COMPOSITIONS["stratified"], order, RATES["uniform"]))
        joins.append([next(step for step, rows in enumerate(found) if name in dict(rows)) for name in "bca"])
    assert joins[0] == [0, 0, 0]
    # by hand, 1600 rows each: b alone up to key 1/4 (400 rows), then 1/4 of b and 1/3 of c (933 rows) up to 1/2
    assert joins[1] == [0, 400 // 12, (400 + 400 + 533) // 12]
    assert joins[2] > joins[1]
    assert {name for name, _ in found[-1]} == set(SIZES)
    totals = Counter()
    for rows in found:
        totals.update(dict(rows))
    assert totals == dict.fromkeys(SIZES, 1600)


@given(sizes, st.integers(1, 6), st.sampled_from(["uniform", "proportional", "temperature"]))
@example({"a": 8, "b": 9, "c": 13, "d": 112}, 1, "proportional")  # rows at even distances, cut into steps, stray by 2.2
def test_a_stratified_step_has_each_share_give_or_take_a_row(found, batch_size, rate):
    made = plan("stratified", "joint", rate, found, batch_size, steps=20)
    for step in range(20):
        rows = made.rows(step)
        for place, name in enumerate(found):
            # one row; rounding the block's count of 10 steps, and what was owed before, is less than two more
            assert abs(rows.get(name, 0) - float(made.rates[place]) * made.composition.rows) < 1 + 2 / 10 + 1e-6


def test_what_a_task_has_beyond_whole_rows_is_spread_over_the_block():
    made = plan("stratified", "joint", "proportional", {"a": 1, "b": 7}, batch_size=2, steps=40, block=40)
    came = [step for step in range(40) if made.rows(step).get("a")]
    assert len(came) == 20
    assert all(4 <= sum(step // 10 == part for step in came) <= 6 for part in range(4))


def test_groups_are_trained_together_and_share_by_their_rates():
    composition = partial(COMPOSITIONS["grouped"], groups=[["a", "c"], ["b"]])
    made = Plan(SIZES, 7, 100, 0, composition, ORDERS["round_robin"], RATES["proportional"], block=100)
    found = sequence(made)
    kinds = Counter("".join(name for name, _ in rows) for rows in found)
    assert kinds == {"ac": 70, "b": 30}
    assert all(sum(n for _, n in rows) == (14 if len(rows) == 2 else 7) for rows in found)
    assert made.planned == {"a": 140, "c": 840, "b": 210}


def test_a_retired_task_gets_no_more_blocks():
    made = plan("mixed", "shuffled", block=5)
    sequence(made, stop=5)
    made.retired.add("b")
    later = Counter()
    for rows in sequence(made, 5):
        later.update(dict(rows))
    assert set(later) == {"a", "c"}


def test_steps_are_asked_for_in_their_turn():
    made = plan()
    with pytest.raises(ValueError, match="`step` should be in block -1 or the next"):
        made.rows(25)


def test_every_rate_has_the_defaults_of_its_file():
    for name, made in {**RATES, **COMPOSITIONS, **ORDERS}.items():
        if name == "blocks":
            continue
        known = {k: p.default for k, p in inspect.signature(made.func).parameters.items() if p.default is not p.empty}
        assert made.keywords == known, name


class Told(Rate):
    def __init__(self, sizes, values):
        super().__init__(sizes)
        self.values = torch.tensor(values, dtype=torch.float64)

    def __call__(self, progress):
        return self.values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "`batch_size` should be at least 1. Found 0"),
        ({"block": 0}, "`block` should be at least 1. Found 0"),
        (
            {"rate": partial(Told, values=[1, -1, 1])},
            r"should give finite shares >= 0, not all 0. Found a 1, b -1, c 1",
        ),
        ({"rate": partial(Told, values=[0, 0, 0])}, "not all 0. Found a 0, b 0, c 0 at step 0"),
        ({"rate": partial(Told, values=[1, float("nan"), 0])}, "Found a 1, b nan, c 0 at step 0"),
        (
            {"order": partial(ORDERS["blocks"].func, length=41)},
            "`length` should be at most the run's 40 steps. Found 41",
        ),
        ({"order": partial(ORDERS["blocks"].func, length=0)}, "`length` should be at least 1. Found 0"),
        ({"order": partial(ORDERS["sequential"], tasks=["a", "b"])}, "`tasks` should name each of a, b, c once"),
        ({"order": partial(ORDERS["curriculum"], difficulty={"a": 1})}, "`difficulty` should have a number for each"),
        ({"order": partial(ORDERS["curriculum"], ramp=1.0)}, "`ramp` should be from 0 to less than 1. Found 1.0"),
        (
            {"composition": partial(COMPOSITIONS["grouped"], groups=[["a"], ["b"]])},
            "`groups` should hold each of a, b, c",
        ),
        ({"rate": partial(RATES["temperature"], temperature=0)}, "`temperature` should be positive. Found 0"),
        ({"rate": partial(RATES["proportional"], cap=0)}, "`cap` should be at least 1. Found 0"),
        ({"rate": partial(RATES["scheduled"], rates={"a": 1})}, "`rates` should have each of a, b, c. Found a"),
        ({"rate": partial(RATES["scheduled"], rates={"a": "1 -", "b": 1, "c": 1})}, "'1 -' is not an expression"),
        ({"rate": partial(RATES["scheduled"], rates={"a": "x", "b": 1, "c": 1})}, "'x' should name t, step, steps, n"),
        (
            {"rate": partial(RATES["scheduled"], rates={"a": "sqrt(0.5 - t)", "b": 1, "c": 1})},
            "Found a nan, b 1, c 1 at step 20",
        ),
    ],
)
def test_a_wrong_option_stops_before_training(change, message):
    parts = {"batch_size": 4, "block": 10, "composition": COMPOSITIONS["mixed"], "order": ORDERS["joint"]}
    parts = {**parts, "rate": RATES["uniform"], **change}
    with pytest.raises(ValueError, match=message):
        Plan(SIZES, steps=40, seed=0, **parts)


def test_options_are_files_and_files_are_options():
    package = Path(__file__).parents[3] / "mtl" / "strategies" / "switching"
    for group, found in (("composition", COMPOSITIONS), ("order", ORDERS), ("rate", RATES)):
        assert set(found) == {path.stem for path in (package / group).glob("*.py")} - {"base", "__init__"}
