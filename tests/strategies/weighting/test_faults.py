"""Faults of published codes, by what went wrong there; each would have been caught here."""

import warnings
from itertools import combinations

import pytest
import torch
from torchjd import aggregation, scalarization

from mtl.functional.mgda import min_norm
from mtl.functional.pcgrad import random_order
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.aligned_mtl import AlignedMTL
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.conflict_free import ConFIG
from mtl.strategies.weighting.dwa import DynamicWeightAverage
from mtl.strategies.weighting.excess_mtl import ExcessMTL
from mtl.strategies.weighting.fairgrad import FairGrad
from mtl.strategies.weighting.famo import FAMO
from mtl.strategies.weighting.gls import GeometricLoss
from mtl.strategies.weighting.gradnorm import GradNorm
from mtl.strategies.weighting.gradvac import GradVac
from mtl.strategies.weighting.igb import ImprovableGapBalancing
from mtl.strategies.weighting.imtl import IMTL
from mtl.strategies.weighting.imtl_g import IMTLG
from mtl.strategies.weighting.imtl_l import IMTLL
from mtl.strategies.weighting.krum import Krum
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.nash_mtl import NashMTL
from mtl.strategies.weighting.sdmgrad import SDMGrad
from mtl.strategies.weighting.stch import SmoothTchebycheff
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.uncertainty_log import UncertaintyLog

TWO = {"a": "classification", "b": "classification"}
FOUR = TWO | {"c": "classification", "d": "classification"}


def step(losses, gramian=None, number=0, epoch=0):
    losses = torch.as_tensor(losses)
    return Signals(torch.arange(len(losses)), losses, number, 100, epoch, gramian)


@pytest.fixture
def gramian():
    rows = torch.randn(4, 30, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [2.0], [5.0], [0.5]])
    rows -= 0.4 * rows.mean(0)
    return rows @ rows.T


def test_1_nash_does_not_turn_into_equal_weights_unseen(gramian):
    weighting = NashMTL(FOUR)
    weights = weighting(step(torch.ones(4), gramian))
    torch.testing.assert_close(gramian @ weights, 1 / weights, rtol=1e-4, atol=0)
    assert weights.max() > 1.5 * weights.min()
    assert weighting.fallbacks == 0
    opposite = torch.tensor([[1.0, -2.0], [-2.0, 4.0]])
    weighting = NashMTL(TWO)
    with pytest.warns(UserWarning, match="NashMTL found no weights"):
        assert weighting(step([1.0, 1.0], opposite)).tolist() == [1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighting(step([1.0, 1.0], opposite))
    assert weighting.fallbacks == 2
    assert weighting.state_dict()["fallbacks"] == 2


def test_2_two_methods_are_not_one(gramian, signals):
    found = {}
    for cls in (MGDA, IMTLG, AlignedMTL, FairGrad, NashMTL, SDMGrad):
        weights = cls(FOUR)(step(torch.ones(4), gramian))
        found[cls] = weights / weights.norm()
    assert all(not torch.allclose(found[a], found[b], rtol=1e-2) for a, b in combinations(found, 2))


def test_3_aligned_runs_without_symeig(gramian):
    assert AlignedMTL(FOUR)(step(torch.ones(4), gramian)).isfinite().all()


def test_4_sdmgrad_runs_without_alltrue(gramian):
    weighting = SDMGrad(FOUR)
    for _ in range(3):
        weights = weighting(step(torch.ones(4), gramian))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0.3 / 4 / 1.3 - 1e-6


def test_4_sdmgrad_starts_from_where_it_was():
    ours, theirs = SDMGrad(FOUR, rate=0.1), aggregation.SDMGradWeighting(lr=0.1)
    for number in range(5):
        rows = torch.randn(4, 20, generator=torch.Generator().manual_seed(number))
        gramian = rows @ rows.T
        torch.testing.assert_close(ours(step(torch.ones(4), gramian, number)), theirs(gramian), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", [SDMGrad, ExcessMTL])
def test_steps_of_some_tasks_keep_the_runs_weights_on_the_simplex(cls, signals):
    weighting = cls(FOUR)
    for number, tasks in enumerate([[0, 1], [1, 2, 3], [3], [0, 2], [0, 1, 2, 3], [2, 1]]):
        assert weighting(signals(tasks, step=number)).sum() == pytest.approx(1)
        assert weighting.weights.sum() == pytest.approx(1)


def test_6_gradvac_moves_its_targets_without_a_conflict():
    weighting = GradVac(TWO, beta=0.5)
    weighting(step([1.0, 1.0], torch.tensor([[1.0, 0.8], [0.8, 1.0]])))
    torch.testing.assert_close(weighting.targets, torch.tensor([[0.0, 0.4], [0.4, 0.0]]))
    weighting(step([1.0, 1.0], torch.tensor([[1.0, 0.2], [0.2, 1.0]])))  # below the target: turned, then averaged
    torch.testing.assert_close(weighting.targets, torch.tensor([[0.0, 0.3], [0.3, 0.0]]))


@pytest.mark.parametrize("solver", ["exact", "frank_wolfe"])
def test_7_mgda_comes_to_an_end(solver):
    rows = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    tasks = {str(i): "classification" for i in range(16)}
    assert MGDA(tasks, solver=solver)(step(torch.ones(16), rows @ rows.T)).sum() == pytest.approx(1)


def test_8_mgda_normalises_to_find_the_weights_and_not_to_apply_them(gramian):
    losses = torch.tensor([1.0, 2.0, 0.5, 3.0])
    norms = gramian.diagonal().sqrt()
    for normalize, sizes in (("l2", norms), ("loss", losses), ("loss+", losses * norms)):
        weights = MGDA(FOUR, normalize=normalize)(step(losses, gramian))
        torch.testing.assert_close(weights, min_norm(gramian / torch.outer(sizes, sizes)), rtol=1e-4, atol=1e-5)
        assert weights.sum() == pytest.approx(1)


def test_10_gradnorm_starts_at_once_from_the_first_loss_with_its_own_optimiser(gramian):
    weighting = GradNorm(FOUR)
    assert list(weighting.parameters()) == []
    assert weighting(step([1.0, 2.0, 3.0, 4.0], gramian)).tolist() == [1, 1, 1, 1]
    assert weighting.initial.tolist() == pytest.approx([1, 2, 3, 4])
    weighting(step([9.0, 9.0, 9.0, 9.0], gramian, epoch=1))
    assert weighting.initial.tolist() == pytest.approx([1, 2, 3, 4])
    assert weighting.weights.sum() == pytest.approx(4)
    assert weighting.weights.std() > 0.01


def test_10_gradnorm_evens_out_norms_where_the_rates_are_alike():
    weighting = GradNorm(TWO, learning_rate=0.01)
    for number in range(600):
        weights = weighting(step([1.0, 1.0], torch.tensor([[9.0, 0.0], [0.0, 1.0]]), number))
    torch.testing.assert_close(weights * torch.tensor([3.0, 1.0]), torch.tensor([1.5, 1.5]), rtol=0.05, atol=0)


@pytest.mark.oracle("TorchJD")
def test_11_uncertainty_is_torchjds_and_starts_at_0_with_its_own_learning_rate(signals):
    """LibMTL starts at -0.5 and learns with the model's rate and weight decay; test_module.py looks at the groups."""
    ours, theirs = Uncertainty(dict.fromkeys("abcd", "regression")), scalarization.UW(4)
    assert ours.learning_rate == 0.025
    assert [parameter.item() for parameter in ours.parameters()] == [0, 0, 0, 0]
    optimisers = [torch.optim.SGD(made.parameters(), lr=0.1) for made in (ours, theirs)]
    for number in range(20):
        now = signals([0, 1, 2, 3], step=number)
        totals = (ours(now) * now.losses).sum() + ours.penalty(now), theirs(now.losses)
        torch.testing.assert_close(*totals)
        for optimiser, total in zip(optimisers, totals, strict=True):
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
    torch.testing.assert_close(torch.stack(list(ours.parameters())), theirs.log_var)


@pytest.mark.oracle("the paper's formula")
def test_12_famo_is_the_papers_on_one_full_batch():
    """The next forward of the same batch is the extra forward of the paper."""
    ours, theirs = FAMO(FOUR), scalarization.FAMO(4)
    losses = torch.tensor([1.0, 2.0, 0.5, 3.0])
    for number in range(30):
        values = losses.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(theirs(values), values)
        torch.testing.assert_close(ours(step(losses, number=number)), wanted, rtol=1e-4, atol=1e-6)
        losses = losses * torch.tensor([0.99, 0.9, 1.01, 0.97]) + 0.01 * torch.rand(4)
        theirs.update(losses)


def test_12_famo_keeps_its_adam_in_the_checkpoint():
    assert {"logits", "first", "second", "count", "previous"} <= set(FAMO(TWO).state_dict())


def test_12_famo_takes_losses_below_zero_that_stay_above_their_bound():
    weighting = FAMO(TWO, lowest=-21.0)
    assert weighting(step([-3.0, -20.0])).isfinite().all()
    assert weighting(step([-4.0, -20.5])).isfinite().all()


@pytest.mark.oracle("the paper's formula")
def test_13_fairgrad_solves_its_equation_and_is_not_multiplied_by_k(gramian):
    weights = FairGrad(FOUR, alpha=2.0)(step(torch.ones(4), gramian))
    torch.testing.assert_close(gramian @ weights, weights**-0.5, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        FairGrad(FOUR, alpha=1.0)(step(torch.ones(4), gramian)), NashMTL(FOUR)(step(torch.ones(4), gramian))
    )


def test_14_dwa_looks_at_epochs_and_not_at_windows_of_steps():
    ours, theirs = DynamicWeightAverage(FOUR), scalarization.DWA()
    generator = torch.Generator().manual_seed(0)
    for epoch in range(5):
        for number in range(60):
            losses = torch.rand(4, generator=generator) + 1 / (1 + torch.arange(4.0) * epoch)
            values = losses.clone().requires_grad_()
            (wanted,) = torch.autograd.grad(theirs(values), values)
            torch.testing.assert_close(ours(step(losses, number=number, epoch=epoch)), wanted)
        theirs.step()
    assert wanted.std() > 0.01


def test_15_imtl_g_takes_parallel_gradients():
    weights = IMTLG(TWO)(step([1.0, 1.0], torch.tensor([[1.0, 2.0], [2.0, 4.0]])))
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 1 / 3]))
    with pytest.warns(UserWarning, match="IMTLG found no weights"):
        assert IMTLG(TWO)(step([1.0, 1.0], torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))).tolist() == [0.5, 0.5]


@pytest.mark.oracle("the paper's formula")
def test_15_imtl_is_the_hybrid_and_its_scales_learn_as_in_imtl_l(gramian):
    losses, hybrid, alone = torch.tensor([1.0, 2.0, 0.5, 3.0]), IMTL(FOUR), IMTLL(FOUR)
    for weighting in (hybrid, alone):
        with torch.no_grad():
            weighting.log_scales += torch.tensor([0.1, 0.2, -0.3, 0.4])
        now = step(losses, gramian)
        ((weighting(now) * losses).sum() + weighting.penalty(now)).backward()
    torch.testing.assert_close(hybrid.log_scales.grad, alone.log_scales.grad)
    scales = hybrid.log_scales.detach().exp()
    impartial = IMTLG(FOUR)(step(losses, gramian * torch.outer(scales, scales)))
    torch.testing.assert_close(hybrid(step(losses, gramian)), scales * impartial)


@pytest.mark.parametrize("cls", [IMTLG, ConFIG])
def test_15_equal_projections_do_not_depend_on_scales(cls, gramian):
    """IMTL-G may turn round, since its weights come to 1; ConFIG agrees with all gradients."""
    plain = cls(FOUR)(step(torch.ones(4), gramian))
    factors = torch.tensor([1.0, 0.1, 8.0, 100.0])
    scaled = factors * cls(FOUR)(step(torch.ones(4), gramian * torch.outer(factors, factors)))
    cosine = torch.cosine_similarity(plain, scaled, dim=0)
    assert cosine.abs() == pytest.approx(1, abs=1e-4)
    if cls is ConFIG:
        assert cosine > 0
        assert (gramian @ plain > 0).all()


def test_16_excess_mtl_starts_on_the_simplex_and_warms_up():
    weighting, gramian = ExcessMTL(TWO, step_size=1.0, warmup=3), torch.diag(torch.tensor([1.0, 4.0]))
    for number in range(3):
        assert weighting(step([1.0, 1.0], gramian, number)).tolist() == [0.5, 0.5]
    assert weighting.baseline.tolist() == pytest.approx(
        [sum(n**-0.5 for n in (1, 2, 3)) / 3, 2 * sum(n**-0.5 for n in (1, 2, 3)) / 3]
    )
    far = weighting(step([1.0, 1.0], torch.diag(torch.tensor([1.0, 400.0])), 3))
    assert far[1] > 0.5


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize("warmup", [1, 3])
def test_16_excess_mtl_is_torchjds_where_a_task_has_one_coordinate(warmup):
    ours, theirs = ExcessMTL(FOUR, 0.1, warmup), aggregation.ExcessMTLWeighting(0.1, warmup)
    for number in range(10):
        rows = torch.randn(4, generator=torch.Generator().manual_seed(number)) + 2
        found, wanted = ours(step(torch.ones(4), torch.diag(rows**2), number)), theirs(rows[:, None])
        if warmup > 1:  # with one warm-up step the code weighs it by its own excess, which has no baseline yet
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    assert found.std() > 0.001


def test_18_weights_that_are_shown_are_weights_that_act():
    losses = torch.tensor([0.5, 1.0, 2.0, 4.0], requires_grad=True)
    shown = GeometricLoss(FOUR)(step(losses.detach()))
    torch.testing.assert_close(shown, torch.autograd.grad(losses.log().mean().exp(), losses)[0])
    weighting = SmoothTchebycheff(FOUR, mu=0.5, warmup=0)
    nadir = torch.tensor([1.0, 1.0, 3.0, 2.0])
    weighting(step(nadir))
    shown = weighting(step(losses.detach(), epoch=1))
    wanted = torch.autograd.grad(0.5 * torch.logsumexp((losses / nadir).log() / 0.5, 0), losses)[0]
    torch.testing.assert_close(shown, wanted)
    weighting = ImprovableGapBalancing(FOUR)
    weighting(step(nadir, epoch=1))
    shares = 4 * torch.softmax(losses.detach() / nadir, 0)
    wanted = torch.autograd.grad((shares * losses.log()).sum(), losses)[0]
    torch.testing.assert_close(weighting(step(losses.detach(), epoch=2)), wanted)


def test_19_says_whether_alike_tasks_come_to_1_or_to_k(make_on_gramian):
    """On gradients at right angles, of length 1; CAGrad's mean gradient comes on top of its 0.4."""
    tasks = make_on_gramian.num_tasks or 4
    weights = make_on_gramian(tasks)(step(torch.ones(tasks), torch.eye(tasks)))
    assert weights.sum() == pytest.approx(tasks if make_on_gramian.cls.scale == "sum" else 1, rel=0.41)


def test_22_pcgrad_and_gradvac_never_meet_themselves():
    for tasks in (1, 2, 5, 16):
        order = random_order(tasks)
        others = [[j for j in range(tasks) if j != i] for i in range(tasks)]
        assert order.sort(1).values.tolist() == others


def test_23_nash_takes_a_task_without_gradient():
    weighting = NashMTL(TWO)
    assert weighting(step([1.0, 1.0], torch.tensor([[0.0, 0.0], [0.0, 4.0]]))).tolist() == [0, 0.5]
    assert weighting.fallbacks == 0


def test_nash_keeps_its_weights_between_solutions(gramian):
    weighting = adjusted(NashMTL(FOUR), every=3)
    assert [weighting.wants_gramian(number) for number in range(5)] == [True, False, False, True, False]
    first = weighting(step(torch.ones(4), gramian, 0))
    assert torch.equal(weighting(step(torch.ones(4), None, 1)), first)
    assert not torch.equal(weighting(step(torch.ones(4), 4 * gramian, 3)), first)
    with pytest.raises(ValueError, match="needs the Gramian"):
        weighting(step(torch.ones(4), None, 6))


def test_krum_says_when_there_are_too_few_tasks():
    with pytest.warns(UserWarning, match="Krum found no weights"):
        assert Krum(TWO)(step([1.0, 1.0], torch.eye(2))).tolist() == [0.5, 0.5]


def test_uncertainty_log_is_at_rest_where_the_loss_says():
    weighting = UncertaintyLog(TWO)
    optimiser = torch.optim.SGD(weighting.parameters(), lr=0.1)
    losses = torch.tensor([0.5, 3.0])
    for _ in range(500):
        optimiser.zero_grad()
        ((weighting(step(losses)) * losses).sum() + weighting.penalty(step(losses))).backward()
        optimiser.step()
    square = weighting.deviations.detach() ** 2
    torch.testing.assert_close(2 * square**2 / (1 + square), losses)  # -L / c^3 + 2 c / (1 + c^2) = 0


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (DynamicWeightAverage, {"temperature": 0}),
        (FAMO, {"decay": -1}),
        (MGDA, {"normalize": "l1"}),
        (MGDA, {"solver": "qp"}),
        (FairGrad, {"alpha": 0}),
        (GradVac, {"beta": 2}),
        (GradNorm, {"alpha": -1}),
        (SDMGrad, {"momentum": 1}),
        (SmoothTchebycheff, {"mu": 0}),
        (SmoothTchebycheff, {"form": "hard"}),
        (ExcessMTL, {"warmup": 0}),
        (Krum, {"selected": 0}),
        (UncertaintyLog, {"learning_rate": 0}),
    ],
)
def test_stops_at_a_wrong_option(cls, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        cls(FOUR, **wrong)


def test_claims_are_on_the_class(make):
    assert make.cls.claims <= frozenset(Claim)
