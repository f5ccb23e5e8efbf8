"""TorchJD's aggregators as a weighting: options, sets of tasks, what they remember."""

import builtins
import io

import pytest
import torch
from torchjd import aggregation

from mtl.errors import MtlError
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.torchjd import TorchJD
from tests.training.test_gradients import EVERY_AGGREGATOR

THREE = dict.fromkeys("abc", "classification")
CALM = pytest.mark.filterwarnings("ignore:.*not DPP")


def test_every_aggregator_that_torchjd_has_is_tried():
    with pytest.raises(ValueError, match="`aggregator` should be") as raised:
        TorchJD(THREE, "Nope")
    said = str(raised.value)
    assert said.endswith("Found 'Nope'")
    assert sorted(EVERY_AGGREGATOR) == said.removeprefix("`aggregator` should be ").split(". Found")[0].split(", ")


def test_says_how_to_install_it(monkeypatch):
    plain = builtins.__import__

    def without(name, *rest, **named):
        if name.split(".")[0] == "torchjd":
            raise ImportError(name)
        return plain(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"TorchJD is not installed: pip install 'mtl\[torchjd\]'"):
        TorchJD(THREE)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("UPGrad", {"c": 1}, "`options` of UPGrad should be among pref_vector, projector"),
        ("CAGrad", {}, "`options` of CAGrad should be among c, norm_eps"),
        ("Mean", {"c": 1}, "among none"),
        ("CAGrad", {"c": -1.0}, "non-negative|positive"),
    ],
)
def test_a_wrong_option_is_named(name, options, said):
    with pytest.raises(ValueError, match=said):
        TorchJD(THREE, name, options)


@CALM
@pytest.mark.filterwarnings("ignore:.*found no weights")
@pytest.mark.parametrize(("name", "options"), EVERY_AGGREGATOR.items())
def test_resumes_to_the_bit(name, options, signals):
    def make():
        return TorchJD(THREE, name, {**options, **({"trim_number": 0} if name == "TrimmedMean" else {})})

    def run(weighting, seeds):
        found = []
        for number in seeds:
            torch.manual_seed(number)
            now = signals([[0, 1, 2], [2, 0], [0, 1, 2]][number % 3] if name != "Krum" else range(3), step=number)
            weights, direction = weighting.combine(now) if weighting.needs_jacobian else (weighting(now), None)
            found.append(weights if direction is None else torch.cat([weights, direction]))
        return found

    first, second, file = make(), make(), io.BytesIO()
    run(first, range(5))
    torch.save(first.state_dict(), file)
    file.seek(0)
    going_on = run(first, range(5, 9))
    second.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert all(torch.equal(*pair) for pair in zip(going_on, run(second, range(5, 9)), strict=True))


def test_a_step_of_some_tasks_takes_their_options(signals):
    weighting = TorchJD(THREE, "Constant", {"weights": [1.0, 2.0, 3.0]})
    assert weighting(signals([2, 0])).tolist() == [3, 1]
    assert weighting(signals([0, 1, 2])).tolist() == [1, 2, 3]


def test_too_few_tasks_for_an_aggregator_are_one_line(signals):
    with pytest.raises(MtlError, match=r"TorchJD's TrimmedMean in a step of 2 tasks: .*at least 3 rows"):
        TorchJD(THREE, "TrimmedMean", {"trim_number": 1})(signals([0, 1]))


def test_the_weights_of_one_that_has_none_are_those_of_the_nearest_sum(signals):
    now = signals([0, 1, 2])
    weights, direction = TorchJD(THREE, "ConFIG").combine(now)
    torch.testing.assert_close(weights @ now.jacobian, direction)
    weights, direction = TorchJD(THREE, "GradDrop").combine(now)
    wanted = torch.linalg.lstsq(now.jacobian.T.double(), direction.double()[:, None]).solution[:, 0]
    torch.testing.assert_close(weights.double(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", sorted(set(EVERY_AGGREGATOR) - {"Constant", "NashMTL", "PCD", "TrimmedMean", "Random"})
)
def test_a_reduction_knows_which_are_sums(name, signals):
    """CAGrad comes to 1 and 0.4 of it."""
    weighting, now = adjusted(TorchJD(THREE, name, EVERY_AGGREGATOR[name]), "sum"), signals(range(3))
    eye = torch.eye(3)
    now = type(now)(now.tasks, now.losses, 0, 20, 0, eye, eye)
    preferred = sum(EVERY_AGGREGATOR[name].get("pref_vector", [1.0]))
    assert weighting(now).sum() == pytest.approx(3 * preferred, rel=0.41 if name == "CAGrad" else 1e-2)


def test_only_those_that_need_more_than_the_gramian_ask_for_more():
    asking = {name for name, options in EVERY_AGGREGATOR.items() if TorchJD(THREE, name, options).needs_jacobian}
    gramian = {
        n for n in EVERY_AGGREGATOR if issubclass(getattr(aggregation, n), aggregation.GramianWeightedAggregator)
    }
    assert asking == set(EVERY_AGGREGATOR) - gramian
    assert "UPGrad" not in asking
