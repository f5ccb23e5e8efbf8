import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.training.early_stop import MEAN, EarlyStop

scores = st.lists(st.tuples(*[st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan])] * 3), min_size=1, max_size=20)


def make(patience=2, mean_patience=None, least_gain=0.0):
    return EarlyStop(
        Plan({"a": 10, "b": 10}, 4, 100, 0, Mixed, Joint, Uniform, 10), patience, mean_patience, least_gain
    )


def see(stop, rows, start=0):
    for step, (a, b, mean) in enumerate(rows, start=start + 1):
        if not stop.over:
            stop.observe(step, {"a": a, "b": b, MEAN: mean})


def first_stall(values, patience, least_gain=0.0):
    """Plainly: the first validation that ends `patience` in a row none of which beats the best before it."""
    best, since = -math.inf, 0
    for step, value in enumerate(values, start=1):
        best, since = (value, 0) if value > best + least_gain else (best, since + 1)
        if since == patience:
            return step
    return None


@given(scores, st.integers(1, 4), st.one_of(st.none(), st.integers(1, 4)), st.sampled_from([0.0, 0.15]))
def test_stops_where_a_plain_count_does(rows, patience, mean_patience, least_gain):
    stop = make(patience, mean_patience, least_gain)
    see(stop, rows)
    stalls = {name: first_stall([row[n] for row in rows], patience, least_gain) for n, name in enumerate("ab")}
    mean = None if mean_patience is None else first_stall([row[2] for row in rows], mean_patience, least_gain)
    ends = [max(stalls.values())] if None not in stalls.values() else []
    end = min([*ends, *([] if mean is None else [mean])], default=None)
    for name, step in stalls.items():
        expected = step if step is not None and (end is None or step <= end) else None
        assert stop.points().get(f"early_stop/{name}/step") == expected
        assert (name in stop.plan.retired) == (expected is not None)
    assert stop.points().get("early_stop/step") == end


@given(scores, st.integers(0, 20))
def test_goes_on_from_its_state(rows, cut):
    whole, first, second = make(2, 3), make(2, 3), make(2, 3)
    see(whole, rows)
    see(first, rows[:cut])
    second.load_state_dict(first.state_dict())
    see(second, rows[cut:], start=len(rows[:cut]))
    assert (second.points(), second.plan.retired) == (whole.points(), whole.plan.retired)


def test_a_task_that_begins_at_nan_can_still_gain():
    stop = make(patience=3)
    see(stop, [(math.nan, 0.1, 0), (0.2, 0.2, 0), (0.3, 0.3, 0)])
    assert stop.stopped == {}
    assert stop.best["a"] == pytest.approx(0.3)
