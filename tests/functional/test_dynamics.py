import numpy as np
import pytest
import torch
from scipy.stats import entropy

from mtl.functional.dynamics import conflicting_pairs, effective_rank


def test_conflicting_pairs_are_counted_once_each():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [0.0, 1.0], [1.0, 1.0]])
    count = sum(float(rows[i] @ rows[j]) < 0 for i in range(4) for j in range(i))
    assert count == 2
    assert conflicting_pairs(rows @ rows.T) == count / 6


def test_effective_rank_goes_from_1_to_the_number_of_tasks():
    assert effective_rank(torch.eye(4)) == pytest.approx(4)
    line = torch.tensor([[1.0], [-3.0], [2.0]])
    assert effective_rank(line @ line.T) == pytest.approx(1, abs=1e-5)
    assert effective_rank(torch.diag(torch.tensor([1.0, 1e12]))) == pytest.approx(1)
    assert np.isnan(effective_rank(torch.zeros(2, 2)))


def test_effective_rank_is_that_of_the_squared_singular_values():
    rows = torch.randn(5, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    squares = np.linalg.svd(rows.numpy(), compute_uv=False) ** 2
    assert effective_rank(rows @ rows.T) == pytest.approx(np.exp(entropy(squares / squares.sum())))
