"""What a weighting remembers: all of it in a checkpoint, and one task's share of it untouched by a step of others."""

import copy
import io

import pytest
import torch

GO = ([0, 1, 2], [1, 3], [0, 1, 2, 3], [2], [3, 0], [0, 1, 2, 3], [1, 2], [0, 1, 2, 3])


def subsets(make):
    return [[task for task in tasks if task < (make.num_tasks or 4)] or [0] for tasks in GO]


def train(weighting, signals, seeds, make):
    """Weights and penalties of some steps; own parameters move as an optimiser would move them."""
    found = []
    for step in seeds:
        now = signals(subsets(make)[step % len(GO)], step=step)
        weights, penalty = weighting(now), weighting.penalty(now)
        total = (weights * now.losses).sum() + penalty
        if total.requires_grad:
            weighting.zero_grad()
            total.backward()
            with torch.no_grad():
                for parameter in weighting.parameters():
                    parameter -= 0 if parameter.grad is None else 0.1 * parameter.grad
        found += [weights.detach().clone(), penalty.detach().clone()]
    return found


@pytest.mark.filterwarnings("ignore:.*found no weights")
def test_resumes_to_the_bit(make, signals):
    first = make(make.num_tasks or 4)
    train(first, signals, range(9), make)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    torch.manual_seed(1)
    second = make(make.num_tasks or 4)
    second.load_state_dict(torch.load(file, weights_only=True), strict=True)
    going_on, resumed = (train(weighting, signals, range(9, 20), make) for weighting in (first, second))
    assert all(torch.equal(one, other) for one, other in zip(going_on, resumed, strict=True))


@pytest.mark.filterwarnings("ignore:.*found no weights")
def test_can_be_copied(make, signals):
    first = make(make.num_tasks or 4)
    train(first, signals, range(3), make)
    second = copy.deepcopy(first)
    pairs = zip(train(first, signals, range(3, 6), make), train(second, signals, range(3, 6), make), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.filterwarnings("ignore:.*found no weights")
def test_leaves_absent_tasks_as_they_were(make, signals):
    T = make.num_tasks or 4
    weighting = make(T)
    train(weighting, signals, range(6), make)
    present = [2, 0] if T == 4 else [1]
    absent = [task for task in range(T) if task not in present]
    before = copy.deepcopy(weighting.state_dict())
    weights = weighting(signals(present, seed=5, step=5))
    assert weights.shape == (len(present),)
    assert weights.isfinite().all()
    for name, value in weighting.state_dict().items():
        shape = value.shape if isinstance(value, torch.Tensor) else ()
        if shape[:1] == (T,):
            assert torch.equal(value[absent], before[name][absent]), name
        if shape == (T, T):
            assert torch.equal(value[:, absent], before[name][:, absent])


def test_goes_by_the_tasks_position_in_the_run_not_in_the_step(make_equivariant, signals):
    T = make_equivariant.num_tasks or 4
    straight, crossed = make_equivariant(T), make_equivariant(T)
    crossed.load_state_dict(straight.state_dict())
    order = torch.arange(T).flip(0)
    for step in range(4):
        now = signals(range(T), step=step, epoch=step)
        turned = now.subset(order.tolist())
        assert torch.equal(turned.gramian, now.gramian[order][:, order])
        torch.testing.assert_close(straight(now), crossed(turned)[order], rtol=1e-4, atol=1e-5)


def test_draws_anew_in_every_step_and_alike_under_one_seed(make_by_chance, signals):
    T = make_by_chance.num_tasks or 4
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        weighting = make_by_chance(T)
        torch.rand(5)
        runs.append(torch.stack([weighting(signals(range(T), seed=1, step=step // 2)) for step in range(20)]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0][::2], runs[0][1::2])
    assert not torch.equal(runs[0], runs[2])


def test_works_in_float32_on_losses_of_lower_precision(make, signals):
    T = make.num_tasks or 4
    now = signals(range(T))
    half = type(now)(now.tasks, now.losses.bfloat16(), 0, 20, 0, now.gramian, now.jacobian)
    assert make(T)(half).isfinite().all()
