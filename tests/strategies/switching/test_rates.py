"""Rates against hand values, the papers' formulas and laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.annealed import Annealed
from mtl.strategies.switching.rate.bandit import Bandit
from mtl.strategies.switching.rate.cost_aware import CostAware
from mtl.strategies.switching.rate.doge import Doge
from mtl.strategies.switching.rate.equal_cost import EqualCost
from mtl.strategies.switching.rate.fixed import Fixed
from mtl.strategies.switching.rate.gap import Gap
from mtl.strategies.switching.rate.loss_ratio import LossRatio
from mtl.strategies.switching.rate.proportional import Proportional
from mtl.strategies.switching.rate.scheduled import Scheduled
from mtl.strategies.switching.rate.slope import Slope
from mtl.strategies.switching.rate.temperature import Temperature
from mtl.strategies.switching.rate.uncertainty import Uncertainty
from mtl.strategies.switching.rate.unimax import UniMax

SIZES = {"a": 100, "b": 400, "c": 2500}
START = Progress(0, 101, 3000)


def shares(rate, progress=START):
    found = rate(progress).numpy()
    return found / found.sum()


def told(
    losses=(1.0, 1.0, 1.0), rates=(1 / 3, 1 / 3, 1 / 3), seconds=(1.0, 1.0, 1.0), scores=(math.nan,) * 3, gramian=None
):
    wide = [torch.tensor(value, dtype=torch.float64) for value in (rates, losses, (1, 1, 1), seconds, scores)]
    return Feedback(*wide, gramian)


def test_temperature_takes_roots_of_capped_sizes():
    np.testing.assert_allclose(shares(Temperature(SIZES, 2.0)), np.array([10, 20, 50]) / 80)
    np.testing.assert_allclose(shares(Temperature(SIZES, 2.0, cap=400)), np.array([10, 20, 20]) / 50)
    np.testing.assert_allclose(shares(Proportional(SIZES, cap=400)), np.array([1, 4, 4]) / 9)
    np.testing.assert_allclose(shares(Temperature(SIZES, 1e9)), 1 / 3, rtol=1e-6)


@pytest.mark.parametrize(("step", "exponent"), [(0, 1.0), (50, 0.6), (100, 0.2)])
def test_annealed_falls_from_proportional_to_a_fifth(step, exponent):
    sizes = np.array([100, 400, 2500.0]) ** exponent
    np.testing.assert_allclose(shares(Annealed(SIZES), Progress(step, 101, 1)), sizes / sizes.sum())


@pytest.mark.parametrize(("step", "epoch"), [(0, 1), (33, 1), (34, 2), (67, 2), (68, 3), (100, 3)])
def test_annealed_by_the_epochs_of_the_paper(step, epoch):
    exponent = 1 - 0.8 * (epoch - 1) / (3 - 1)
    sizes = np.array([100, 400, 2500.0]) ** exponent
    np.testing.assert_allclose(shares(Annealed(SIZES, epochs=3), Progress(step, 101, 1)), sizes / sizes.sum())


def test_unimax_by_hand():
    # 3,000 rows: an equal part is 1,000; a may have 2 x 100, then b 2 x 400 of 2,800 / 2, c what is left
    np.testing.assert_allclose(UniMax(SIZES, epochs=2)(START).numpy(), [200, 800, 2000])
    np.testing.assert_allclose(shares(UniMax(SIZES, epochs=100)), 1 / 3)
    # nobody can fill the run: as many passes over each
    np.testing.assert_allclose(shares(UniMax(SIZES, epochs=0.1)), np.array([100, 400, 2500]) / 3000)


def test_scheduled_reads_its_expressions():
    rate = Scheduled(SIZES, {"a": "0.8 if t < 0.5 else 0.2", "b": "n / 1000", "c": "1 - exp(-step / steps)"})
    np.testing.assert_allclose(rate(Progress(20, 101, 1)).numpy(), [0.8, 0.4, 1 - math.exp(-20 / 101)])
    np.testing.assert_allclose(rate(Progress(50, 101, 1)).numpy(), [0.2, 0.4, 1 - math.exp(-50 / 101)])


def test_bandit_follows_the_algorithm_of_online_data_mixing():
    """Algorithm 1 of Albalak et al. (2023), written out with numpy for three turns."""
    rate, R = Bandit(SIZES, memory=0.9, warmup=0, relative=False), np.zeros(3)
    rates = np.full(3, 1 / 3)
    for turn, losses in enumerate([(3.0, 2.0, 1.0), (2.0, 2.0, 0.5), (1.0, 1.9, 0.4)], start=1):
        rate.observe(told(losses, rates))
        R = 0.9 * R + 0.1 * np.array(losses) / rates
        now, then = (min(1 / 3, math.sqrt(math.log(3) / (3 * t))) for t in (turn + 1, turn))
        rates = (1 - 3 * now) * softmax(then * R) + now
        np.testing.assert_allclose(rate(START).numpy(), rates, rtol=1e-12)
        assert rates.sum() == pytest.approx(1)


def test_bandit_begins_in_proportion_and_leaves_absent_tasks_alone():
    rate = Bandit(SIZES)
    np.testing.assert_allclose(shares(rate), np.array([100, 400, 2500]) / 3000)
    rate.observe(told((2.0, math.nan, 1.0), (0.5, 0.0, 0.5)))
    assert rate.rewards[1] == 0
    assert bool(rate(START).isfinite().all())


def test_loss_ratio_asks_for_what_learns_slowly():
    rate = LossRatio(SIZES, gamma=2.0, least=0.0)
    np.testing.assert_allclose(shares(rate), 1 / 3)
    rate.observe(told((4.0, 2.0, 1.0)))
    np.testing.assert_allclose(shares(rate), 1 / 3)
    rate.observe(told((2.0, 2.0, math.nan)))
    np.testing.assert_allclose(shares(rate), np.array([0.25, 1, 1]) / 2.25)


def test_gap_is_relative_and_never_negative():
    rate = Gap(SIZES, least=0.3)
    rate.baselines({"a": 0.8, "b": -2.0, "c": 0.5})  # b is an error, negated
    np.testing.assert_allclose(shares(rate), 1 / 3)
    rate.observe(told(scores=(0.6, -3.0, 0.9)))
    gaps = np.array([0.25, 0.5, 0])
    np.testing.assert_allclose(shares(rate), 0.7 * gaps / gaps.sum() + 0.1)
    rate.observe(told(scores=(0.9, -1.0, 0.9)))
    np.testing.assert_allclose(shares(rate), 1 / 3)


positive = st.floats(1e-3, 1e3)


@given(st.tuples(positive, positive, positive))
def test_uncertainty_gives_the_weights_that_solve_kendalls_objective(losses):
    """Equations 7 and 10 minimised by scipy, for two losses of a likelihood and a squared error."""
    rate = Uncertainty(SIZES, least=0.0)
    rate.observe(told(losses))
    factors, weights = (1.0, 1.0, 0.5), []
    for factor, loss in zip(factors, losses, strict=True):
        found = minimize_scalar(lambda s, f=factor, v=loss: f * math.exp(-s) * v + s / 2, bounds=(-12, 12))
        weights.append(factor * math.exp(-found.x))
    np.testing.assert_allclose(shares(rate), np.array(weights) / sum(weights), rtol=1e-3)


@given(st.lists(st.tuples(positive, positive, positive), min_size=1, max_size=6), st.floats(-2, 2), positive)
def test_uncertainty_compares_ratios_of_losses_and_keeps_its_floor(rows, power, scale):
    rate, scaled = Uncertainty(SIZES, power, least=0.3), Uncertainty(SIZES, power, least=0.3)
    for row in rows:
        rate.observe(told(row))
        scaled.observe(told(tuple(scale * loss for loss in row)))
    np.testing.assert_allclose(shares(rate), shares(scaled), rtol=1e-6)
    assert shares(rate).min() >= 0.1 - 1e-12
    assert (np.argmax(shares(rate)) == np.argmax(np.sign(power) * rate.losses.numpy())) or abs(power) < 1e-3


def test_uncertainty_averages_blocks_and_leaves_absent_tasks_alone():
    rate = Uncertainty(SIZES, memory=0.5, least=0.0)
    rate.observe(told((4.0, math.nan, 1.0)))
    np.testing.assert_allclose(shares(rate), 1 / 3)
    rate.observe(told((2.0, 1.5, math.nan)))
    np.testing.assert_allclose(shares(rate), np.array([1 / 3, 1 / 1.5, 1]) / 2)


@given(st.tuples(positive, positive, positive), st.tuples(positive, positive, positive))
def test_equal_cost_gives_each_task_its_share_of_the_seconds(costs, importance):
    rate = EqualCost(SIZES, dict(zip(SIZES, importance, strict=True)))
    np.testing.assert_allclose(shares(rate), np.array(importance) / sum(importance))
    rate.observe(told(seconds=costs))  # one row each
    spent = shares(rate) * np.array(costs)
    np.testing.assert_allclose(spent / spent.sum(), np.array(importance) / sum(importance))


def test_equal_cost_waits_for_every_task_that_counts():
    rate = EqualCost(SIZES, {"a": 1, "b": 1, "c": 0})
    rate.observe(told(seconds=(1.0, 0.0, 0.0)))
    np.testing.assert_allclose(shares(rate), [0.5, 0.5, 0])
    rate.observe(told(seconds=(2.0, 1.0, 0.0)))  # three seconds for two rows, one for two
    np.testing.assert_allclose(shares(rate), [0.25, 0.75, 0])


def test_fixed_gives_what_it_was_given():
    np.testing.assert_allclose(shares(Fixed(SIZES, {"a": 0.2, "b": 0.3, "c": 0.5})), [0.2, 0.3, 0.5])
    np.testing.assert_allclose(shares(Fixed(SIZES)), 1 / 3)


def test_slope_follows_cobas_equations():
    """Equations 2 to 5 of Gong et al. (2024) in numpy, with numpy's own line fit."""
    generator = np.random.default_rng(0)
    losses = np.cumprod(generator.uniform(0.8, 1.1, (9, 3)), 0) * 3
    rate = Slope(SIZES, window=4, tau=5.0, least=0.0)
    for row in losses:
        rate.observe(told(tuple(row)))
    ratios = losses / losses[0]
    slopes = np.array([np.polyfit(range(len(w)), w, 1)[0] for t in range(2, 10) for w in [ratios[max(0, t - 4) : t]]])
    now, window = slopes[-1], slopes[-4:]
    relative = softmax(3 * now / np.abs(now).sum())
    absolute = softmax(-4 * now / np.abs(window).sum(0))
    largest, t = slopes.max(1), len(slopes)
    factor = min(1.0, t * softmax(5.0 * np.arange(1, t + 1) * largest / np.abs(largest).sum())[-1])
    np.testing.assert_allclose(rate(START).numpy(), factor * relative + (1 - factor) * absolute, rtol=1e-9)


def test_doge_moves_towards_what_helps_all():
    gramian = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, 0.0], [-0.5, 0.0, 1.0]])
    rate = Doge(SIZES, mu=2.0, least=0.0)
    rate.observe(told(gramian=gramian))
    helped = np.clip(gramian.sum(1).numpy(), 0, 5) / 2.0
    np.testing.assert_allclose(shares(rate), np.exp(log_softmax(helped)), rtol=1e-6)
    assert rate(START).argmax() == 1
    rate.observe(told())
    np.testing.assert_allclose(shares(rate), np.exp(log_softmax(helped)), rtol=1e-6)


def test_cost_aware_prefers_the_same_gain_for_less_time():
    rate = CostAware(SIZES, memory=0.0, least=0.1)
    rate.observe(told((2.0, 2.0, 2.0)))
    np.testing.assert_allclose(shares(rate), 1 / 3)
    rate.observe(told((1.0, 1.0, 3.0), seconds=(1.0, 4.0, 1.0)))
    gains = np.array([0.5, 0.125, 0])
    np.testing.assert_allclose(shares(rate), 0.9 * gains / gains.sum() + 0.1 / 3)
