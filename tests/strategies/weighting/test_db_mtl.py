"""DB-MTL by hand, and against the formula on gradients."""

import pytest
import torch

from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.db_mtl import DBMTL

THREE = {"a": "classification", "b": "classification", "c": "classification"}


def step(norms, tasks=(0, 1, 2)):
    return Signals(torch.tensor(tasks), torch.ones(len(norms)), gramian=torch.diag(torch.tensor(norms) ** 2))


@pytest.mark.oracle("the paper's formula")
def test_without_a_past_it_is_the_papers_formula():
    jacobian = torch.randn(3, 10, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [5.0], [0.2]])
    norms = jacobian.norm(dim=1)
    weights = DBMTL(THREE, beta=0)(Signals(torch.arange(3), torch.ones(3), gramian=jacobian @ jacobian.T))
    expected = norms.max() * (jacobian / norms[:, None]).sum(0)
    torch.testing.assert_close(weights @ jacobian, expected)


def test_norms_are_averaged_and_a_task_that_joins_later_begins_with_its_own():
    weighting = DBMTL(THREE, beta=0.5)
    assert weighting(step([1.0, 4.0], (0, 1))).tolist() == pytest.approx([4, 1])
    # 0.5 (1 + 3) = 2, 0.5 (4 + 12) = 8, and 2
    assert weighting(step([3.0, 12.0, 2.0])).tolist() == pytest.approx([4, 1, 4])
    fading = DBMTL(THREE, beta=0.5, sigma=1.0)
    fading(step([1.0, 4.0, 1.0]))
    # in the second step a quarter of the past
    assert fading(step([5.0, 4.0, 1.0])).tolist() == pytest.approx([1, 1, 4])


def test_a_zero_gradient_has_weight_one():
    assert DBMTL(THREE)(step([0.0, 4.0, 2.0])).tolist() == [1, 1, 2]
    assert DBMTL(THREE)(step([0.0, 0.0, 0.0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("options", [{"beta": 1.0}, {"beta": -0.1}, {"sigma": -1.0}])
def test_wrong_options_stop_at_the_constructor(options):
    with pytest.raises(ValueError, match=r"0 <= `beta` < 1 and `sigma` >= 0 should hold"):
        DBMTL(THREE, **options)
