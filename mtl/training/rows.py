"""Gradients of embeddings, kept as the rows that a step reads: the others are zero."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.training.processes import mean_over_processes, num_processes, on_all

Whole = Callable[[Tensor], Tensor]


def by_rows(features: Callable[[Batch], Tensor], module: nn.Module) -> Callable[[Batch], Tensor]:
    """The same features; gradients that go back through them reach the module's embeddings as sparse tensors."""

    def read(batch: Batch) -> Tensor:
        with _sparse(module):
            return features(batch)

    return read


@contextlib.contextmanager
def _sparse(module: nn.Module) -> Generator[None, None, None]:
    """An embedding says how its gradient will be made when it is read. One that counts its rows can't be sparse."""
    found = [m for m in module.modules() if isinstance(m, nn.Embedding) and not (m.sparse or m.scale_grad_by_freq)]
    for embedding in found:
        embedding.sparse = True
    try:
        yield
    finally:
        for embedding in found:
            embedding.sparse = False


def aligned(gradients: Sequence[Sequence[Tensor]]) -> tuple[list[list[Tensor]], list[Whole]]:
    """K gradients of dense tensors, and what makes a combination of a parameter's K whole again.

    Inner products and weighted sums of what is left are those of the gradients; what is dense already stays as it is.
    On several processes the rows are those that any of them reads, the same on all.
    """
    all_columns, columns, wholes = list(zip(*gradients, strict=True)), [], []
    sparse = [all(part.is_sparse for part in column) for column in all_columns]
    for column, by_rows in zip(all_columns, on_all(sparse, all_columns[0][0].device) if sparse else [], strict=True):
        if by_rows:
            rows, kept = _same_rows([part.coalesce() for part in column])  # a sum of parts need not be, on a GPU
            whole = partial(_spread, rows, column[0].shape)
        else:  # some tasks may use the parameter otherwise, or not at all
            kept, whole = [part.to_dense() if part.is_sparse else part for part in column], _as_it_is
        columns.append(kept)
        wholes.append(whole)
    return [list(row) for row in zip(*columns, strict=True)], wholes


def _as_it_is(combined: Tensor) -> Tensor:
    return combined


def _spread(rows: Tensor, shape: torch.Size, combined: Tensor) -> Tensor:
    return combined.new_zeros(shape).index_copy_(0, rows, combined)


def _same_rows(column: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The rows that any of K coalesced tensors has, in order, and the K values there."""
    indices, values = [part.indices()[0] for part in column], [part.values() for part in column]
    if num_processes() == 1 and all(torch.equal(found, indices[0]) for found in indices[1:]):
        return indices[0], values
    read = values[0].new_zeros(len(column[0]))
    for found in indices:
        read[found] = 1
    rows = mean_over_processes(read).nonzero().flatten()
    place = torch.empty_like(read, dtype=torch.long)
    place[rows] = torch.arange(len(rows), device=rows.device)
    shape = len(rows), *column[0].shape[1:]
    return rows, [own.new_zeros(shape).index_copy_(0, place[at], own) for at, own in zip(indices, values, strict=True)]
