"""The page on switching says what its summary holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.switch_summary import summarise
from mtl.functional.switch_trace import GradientProbe, Trace
from mtl.functional.switch_visits import Visit, visits
from mtl.reporting.switches import headline, page
from mtl.reporting.switches_figures import matrix_of, short, trained


def made(losses=None):
    trace = Trace(["a", "<b>"], [0, 2, 5], [[0], [1]], [0, 1, 0], 7)
    trace.losses = losses or {0: [10, 8], 2: [4, 8], 5: [7, 2], 6: [5, math.nan], 7: [4, 5]}
    trace.stale = [[5, 0, 0.5]]
    trace.rows, trace.sizes, trace.planned = {"a": 8, "<b>": 6}, {"a": 10, "<b>": 30}, {"a": 8, "<b>": 6}
    trace.gradients = [
        GradientProbe(
            3, [2.0, 4.0], [[1.0, 5.0], [3.0, 2.0]], {"all": [[4.0, -1.0], [-1.0, 1.0]]}, [[1, -1], [0, 1]], [1, 3]
        )
    ]
    return trace


def test_the_summary_of_a_worked_example():
    found = summarise(made())
    assert found.cost[1, 0].mean == 3
    assert found.relative[1, 0].mean == 0.75
    assert found.stale[1, 0].mean == 0.5
    assert found.recovery[1, 0] == 2
    assert found.lookahead.tolist() == [[0.5, -0.25], [-0.5, 0.5]]
    assert found.first_order.tolist() == [[0.5, -0.25], [0.0, 0.25]]
    assert float(found.conflicts["all"].cosine[0, 1]) == pytest.approx(-0.5)
    assert float(found.conflicts["all"].negative[0, 1]) == 1
    # four steps of a and three of b, with squares 1 and 3
    assert found.dominance.tolist() == pytest.approx([4 / 13, 9 / 13])
    assert found.exposure == {"a": pytest.approx((8 / 14) / (1 / 4)), "<b>": pytest.approx((6 / 14) / (3 / 4))}
    assert found.realised_rows == {"a": 1, "<b>": 1}
    assert math.isnan(found.throughput[0])


def test_the_page_writes_the_numbers_and_escapes_the_names():
    text = page("1234", "run <i>", {"mtl.switching": "blocks"}, summarise(made()), {})
    assert "<title>Switches of run &lt;i&gt;</title>" in text
    assert text.count("default-src 'none'; style-src 'unsafe-inline'") == 1
    for words in ("run &lt;i&gt;", "&lt;b&gt; → a", "+3.0000", "+75.0 %", "switching <b>blocks</b>", "−3.0000"):
        assert words in text
    assert "<i>" not in text
    assert text.count("<svg") == 6


def test_the_headline_names_the_dearest_switch_and_says_how_sure_it_is():
    few = headline(summarise(made()))
    assert few.startswith(
        "No cost is clearly above 0; the largest: <b> → a, +3.0000 (+75.0 % of the loss; n = 1, too few"
    )
    trace = made()
    trace.starts, trace.which, trace.steps = list(range(20)), [0, 1] * 10, 20
    trace.losses = {step: [1 + step % 2 * -0.5 + 0.01 * step, 1.0] for step in range(21)}
    trace.stale = []
    assert headline(summarise(trace)).startswith("The dearest switch for its task: <b> → a, +0.5100 (+")
    assert "n = 9, 95 % interval +0.5100 to +0.5100" in headline(summarise(trace))
    cheap = made({0: [10, 8], 2: [4, 8], 5: [3, 2], 7: [3, 2]})
    assert headline(summarise(cheap)).startswith("No measured switch cost anything on average (1 returns measured")


@given(st.lists(st.sampled_from([(0,), (1,), (0, 2)]), min_size=1, max_size=50), st.integers(1, 20))
def test_the_timeline_keeps_every_step(steps, bins):
    shares = trained(visits(steps), 3, bins)
    assert shares.min() >= -1e-9
    assert shares.max() <= 1 + 1e-9
    counts = [sum(task in tasks for tasks in steps) for task in range(3)]
    np.testing.assert_allclose(shares.sum(1) * len(steps) / bins, counts, atol=1e-6)


def test_one_stretch_a_step_shows_each_step():
    assert trained([Visit(0, 2, (0,)), Visit(2, 3, (1,))], 2, 3).tolist() == [[1, 1, 0], [0, 0, 1]]


def test_a_matrix_is_empty_where_nothing_was_measured():
    matrix = matrix_of(summarise(made()).cost, 2)
    assert matrix[1, 0] == 3
    assert np.isnan(matrix).sum() == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.5, "−0.50"),
        (0.0123, "0.012"),
        (-2.5e-5, "−2.5e−5"),
        (100, "100"),
        (999.6, "1.0e3"),
        (1234, "1.2e3"),
    ],
)
def test_numbers_are_short(value, text):
    assert short(value) == text
