"""Gradients of embeddings as rows: the same inner products and sums as of the whole ones."""

import pytest
import torch
from torch import nn

from mtl.training.passes import weighted
from mtl.training.products import gramian
from mtl.training.rows import aligned, by_rows

IDS = {
    "the same rows": [[3, 5, 5, 0, 8], [8, 8, 3, 0, 5]],
    "rows of their own": [[3, 5, 5, 0, 8], [1, 0, 8, 9, 9]],
    "no row in common": [[1, 2], [3, 4]],
    "one reads nothing but padding": [[1, 2], [0, 0]],
}


def gradients(ids, sparse):
    """Of two tasks at an embedding of 10 rows, whose first is padding, and at a matrix."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 4, padding_idx=0), nn.Linear(4, 3))
    read = by_rows(model, model) if sparse else model
    found = []
    for own in ids:
        out = read(torch.tensor(own))
        found.append(torch.autograd.grad(out, list(model.parameters()), torch.randn(out.shape)))
    assert not model[0].sparse
    assert found[0][0].is_sparse is sparse
    return [[part.coalesce() if part.is_sparse else part for part in parts] for parts in found]


@pytest.mark.parametrize("name", IDS)
def test_inner_products_and_sums_are_those_of_whole_gradients(name):
    whole, rows = gradients(IDS[name], False), gradients(IDS[name], True)
    kept, wholes = aligned(rows)
    flat = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in whole])
    torch.testing.assert_close(gramian(kept), flat @ flat.T)
    weights = torch.tensor([0.3, 1.7])
    for back, column, expected in zip(wholes, zip(*kept, strict=True), zip(*whole, strict=True), strict=True):
        torch.testing.assert_close(back(weighted(weights, column)), 0.3 * expected[0] + 1.7 * expected[1])


def test_a_sum_of_two_parts_counts_once():
    """On a GPU such a sum holds a row of each part for itself."""
    twice = [
        torch.sparse_coo_tensor(
            torch.tensor([[3, 1, 3]]), torch.tensor([[1.0], [2.0], [4.0]]), (5, 1), check_invariants=True
        ),
        torch.sparse_coo_tensor(torch.tensor([[1, 0]]), torch.tensor([[8.0], [16.0]]), (5, 1), check_invariants=True),
    ]
    kept, (whole,) = aligned([[part] for part in twice])
    assert [whole(part).flatten().tolist() for (part,) in kept] == [[0, 2, 0, 5, 0], [16, 8, 0, 0, 0]]


def test_only_rows_that_are_read_are_kept():
    kept, _ = aligned(gradients(IDS["rows of their own"], True))
    assert [len(parts[0]) for parts in kept] == [5, 5]  # 1, 3, 5, 8, 9


def test_a_parameter_that_one_task_does_not_read_is_whole():
    (first, second) = gradients(IDS["the same rows"], True)
    second[0] = torch.zeros(10, 4)
    kept, wholes = aligned([first, second])
    assert torch.equal(kept[0][0], first[0].to_dense())
    assert torch.equal(wholes[0](kept[1][0]), torch.zeros(10, 4))


def test_the_flag_is_put_back_where_reading_fails_and_left_where_it_was_set():
    own, counted = nn.Embedding(4, 2, sparse=True), nn.Embedding(4, 2, scale_grad_by_freq=True)
    model = nn.ModuleList([nn.Embedding(4, 2), own, counted])

    def read(_):
        assert [m.sparse for m in model] == [True, True, False]
        raise RuntimeError("fell over")

    with pytest.raises(RuntimeError):
        by_rows(read, model)(None)
    assert [m.sparse for m in model] == [False, True, False]


def test_rows_that_only_another_process_reads_are_kept_too_and_zero(monkeypatch):
    def mean(tensor):
        other = torch.zeros_like(tensor)
        other[9] = 1
        return (tensor + other) / 2

    alone, _ = aligned(gradients(IDS["the same rows"], True))
    monkeypatch.setattr("mtl.training.rows.num_processes", lambda: 2)
    monkeypatch.setattr("mtl.training.rows.mean_over_processes", mean)
    kept, (whole, *_) = aligned(gradients(IDS["the same rows"], True))
    for parts, before in zip(kept, alone, strict=True):
        assert torch.equal(parts[0], torch.cat([before[0], torch.zeros(1, 4)]))
        assert torch.equal(whole(parts[0])[[3, 5, 8]], before[0])


def test_a_parameter_that_another_process_has_whole_is_whole_on_all(monkeypatch):
    monkeypatch.setattr("mtl.training.rows.on_all", lambda flags, device: [False] * len(flags))
    kept, _ = aligned(gradients(IDS["rows of their own"], True))
    for parts, expected in zip(kept, gradients(IDS["rows of their own"], False), strict=True):
        assert torch.equal(parts[0], expected[0])
