import pytest
import torch

from mtl.tracking.callback import gradient_points


def test_norms_and_cosines_are_those_of_the_gradients():
    a, b, c = torch.tensor([3.0, 4.0]), torch.tensor([-4.0, 3.0]), torch.tensor([-3.0, -4.0])
    J = torch.stack([a, b, c])
    points = gradient_points(["a", "b", "c"], J @ J.T)
    assert points == pytest.approx(
        {
            "gradient/a/norm": 5,
            "gradient/b/norm": 5,
            "gradient/c/norm": 5,
            "gradient/a/b/cosine": 0,
            "gradient/a/c/cosine": -1,
            "gradient/b/c/cosine": 0,
            "gradient/conflicting_pairs": 1 / 3,
            "gradient/effective_rank": 3 / 2 ** (2 / 3),  # of eigenvalues 2/3 and 1/3
        },
        abs=1e-6,
    )
