"""What is done coordinate by coordinate, in pieces, against the formula written out for one coordinate, in float64."""

import pytest
import torch

from mtl.functional import pieces as cut
from mtl.functional.grad_drop import drop_signs
from mtl.functional.pieces import pieces
from mtl.functional.trimmed_mean import trimmed_mean


@pytest.fixture(params=[(tasks, numbers) for tasks in range(2, 7) for numbers in (30, 1 << 17)], ids=str)
def jacobian(request, monkeypatch):
    """Many zeros, ties and opposite values; in pieces with a ragged rest, or in one."""
    tasks, numbers = request.param
    monkeypatch.setattr(cut, "CACHED", numbers)
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(tasks, 101, generator=generator)
    rows[:, :60] = torch.randint(-2, 3, (tasks, 60), generator=generator).float()
    rows[:, 60:64] = torch.tensor([0.0, 1.0, -1.0, -0.0])
    rows[1:, 64] = 0
    rows[0, 65] = 1e7
    return rows


def test_pieces_are_all_columns_in_order_and_views(monkeypatch):
    monkeypatch.setattr(cut, "CACHED", 9)
    matrix, row = torch.arange(14.0).view(2, 7), torch.zeros(7)
    found = list(pieces(matrix, row))
    assert [tuple(part.shape for part in piece) for piece in found] == [((2, 4), (4,)), ((2, 3), (3,))]
    assert torch.equal(torch.cat([piece for piece, _ in found], 1), matrix)
    for piece, out in found:
        out.copy_(piece[1])
    assert torch.equal(row, matrix[1])


def passes(values, u):
    """Algorithm 1 of GradDrop at one coordinate."""
    size = sum(map(abs, values))
    purity = (1 + sum(values) / size) / 2 if size else 0.5
    return [value if (value > 0) == (purity > u) else 0.0 for value in values]


def test_the_signs_that_are_drawn_pass(jacobian):
    K, N = jacobian.shape
    generator = torch.Generator().manual_seed(0)
    uniform, leaks = torch.rand(N, generator=generator), torch.rand(K, generator=generator)
    uniform[:30:2] = 0.5  # the purity itself, of opposite values
    uniform[30] = 1 - 2**-24
    direction, squares = drop_signs(jacobian, uniform, leaks)
    columns = zip(jacobian.T.tolist(), uniform.tolist(), strict=True)
    passed = torch.tensor([passes(values, u) for values, u in columns], dtype=torch.float64).T
    wanted = (leaks.double()[:, None] * jacobian + (1 - leaks.double()[:, None]) * passed).sum(0)
    torch.testing.assert_close(direction.double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(squares.double(), passed.square().sum(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e-20, 1e15])
def test_a_sign_that_all_agree_on_passes_under_every_draw(size):
    rows = size * (1 + torch.rand(3, 1 << 12, generator=torch.Generator().manual_seed(0)))
    for u in (0.0, 0.5, 1 - 2**-24):
        for sign in (1, -1):
            direction, _ = drop_signs(sign * rows, torch.full_like(rows[0], u), torch.zeros(3))
            torch.testing.assert_close(direction, sign * rows.sum(0))


def trimmed(values, outliers):
    """Definition 2 at one coordinate, and what each value adds: equal ones that tie at an end share what is left."""
    left = sorted(values)[outliers : len(values) - outliers]
    within = [left[0] <= value <= left[-1] for value in values]
    return sum(left) / len(left), [value * kept / sum(within) for value, kept in zip(values, within, strict=True)]


def test_the_mean_is_that_of_the_sorted_middle(jacobian):
    for outliers in range((len(jacobian) + 1) // 2):
        mean, products = trimmed_mean(jacobian, outliers)
        found = [trimmed(values, outliers) for values in jacobian.double().T.tolist()]
        wanted = torch.tensor([one for one, _ in found], dtype=torch.float64)
        torch.testing.assert_close(mean.double(), wanted, rtol=1e-6, atol=1e-6)
        added = torch.tensor([parts for _, parts in found], dtype=torch.float64).T
        torch.testing.assert_close(products.double(), (added * jacobian).sum(1), rtol=1e-5, atol=1e-6)


def test_without_ties_what_the_tasks_add_comes_to_the_mean():
    rows = torch.randn(5, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = rows.argsort(0)
    kept = torch.zeros_like(rows).scatter_(0, order[1:-1], 1) * rows / 3
    mean, products = trimmed_mean(rows, 1)
    torch.testing.assert_close(kept.sum(0), mean)
    torch.testing.assert_close(products, (kept * rows).sum(1))
