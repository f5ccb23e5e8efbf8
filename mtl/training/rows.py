"""Gradients of embeddings, kept as the rows that a step reads: the others are zero."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch

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
    """
    columns, wholes = [], []
    for column in zip(*gradients, strict=True):
        if not any(part.is_sparse for part in column):
            kept, whole = list(column), _as_it_is
        elif not all(part.is_sparse for part in column):  # some tasks use the parameter otherwise, or not at all
            kept, whole = [part.to_dense() for part in column], _as_it_is
        else:
            rows, kept = _same_rows([part.coalesce() for part in column])  # a sum of parts need not be, on a GPU
            whole = partial(_spread, rows, column[0].shape)
        columns.append(kept)
        wholes.append(whole)
    return [list(row) for row in zip(*columns, strict=True)], wholes


def _as_it_is(combined: Tensor) -> Tensor:
    return combined


def _spread(rows: Tensor, shape: torch.Size, combined: Tensor) -> Tensor:
    return combined.new_zeros(shape).index_copy_(0, rows, combined)


def _same_rows(column: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The rows that any of K coalesced tensors has, and the K values there."""
    indices = [part.indices()[0] for part in column]
    if all(torch.equal(found, indices[0]) for found in indices[1:]):
        return indices[0], [part.values() for part in column]
    rows, places = torch.cat(indices).unique(return_inverse=True)
    shape = len(rows), *column[0].shape[1:]
    own = places.split([len(found) for found in indices])
    pairs = zip(column, own, strict=True)
    return rows, [part.values().new_zeros(shape).index_copy_(0, place, part.values()) for part, place in pairs]
