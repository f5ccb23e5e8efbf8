"""The question every trunk answers: what are the features of a text, token by token and as a whole?"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.errors import MtlError
from mtl.functional import pooling

Prefix = Sequence[tuple[Tensor, Tensor]]
"""Layer by layer the keys and values of P places before the text, each U x heads x P x width of a head."""


class Trunk(nn.Module):
    """What all tasks share. A subclass is final; its constructor takes `vocabulary_size` and `per_token` first.

    U is the number of distinct inputs, L their padded length, E the width of the embedding, D that of the features.
    """

    width: int
    """D."""

    max_length: int | None = None
    """The most places of an input, a learned prompt's included; `None`: no limit."""

    causal: bool = False
    """Whether a token's features know only what stands before it."""

    frozen: bool = False

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Features of each token, U x L x D. What stands behind a row's length changes nothing before it.

        ValueError for rows longer than `max_length`.
        """
        L = ids.shape[1]
        if self.max_length is not None and self.max_length < L:
            raise ValueError(f"`max_length` should be at least the longest input, {L}. Found {self.max_length}")
        positions = torch.arange(L, device=ids.device)[None]
        return self.encode(self.embed(ids), pooling.inside(ids, lengths), positions)

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings without positions, U x L x E."""

    @abstractmethod
    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """Features of each place, U x L x D, from embeddings that may come from anywhere.

        Args:
            embedded: U x L x E.
            inside: U x L bools: the places that exist; they may be any. Features of the others mean nothing.
            positions: U x L (long), counted over the places of a row that exist, a prefix's included.
            prefix: what every layer attends to beside the row's own places; for trunks with a `prefix_shape`.
        """

    def prefix_shape(self) -> tuple[int, int, int] | None:
        """Layers, heads of keys and values, width of a head; `None` for a trunk without attention."""
        return None

    def prefill(self, ids: Tensor) -> Prefix:
        """The keys and values of a text that stands alone (1 x P ids), for trunks with a `prefix_shape`."""
        raise MtlError("prompt: this trunk gives no keys and values of a text; take init=zero")

    def follow(self, vectors: Tensor, counts: Tensor, ids: Tensor, lengths: Tensor) -> Tensor | None:
        """Features of vectors right behind texts that need not be read again, where it knows them; else `None`.

        Args:
            vectors: U x P x E.
            counts: U, how many of a row's vectors there are.
            ids: U x L, the texts.
            lengths: U, theirs.
        """
        return None

    def freeze(self) -> None:
        """Train nothing and drop nothing out, in training too: the features of an input are then always the same."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Trunk":
        """A frozen trunk stays in evaluation."""
        return super().train(mode and not self.frozen)

    def uses(self, module: nn.Module) -> float:
        """How often a module's weights are used for each place that is read (for the estimate of FLOPs)."""
        return 1.0

    def last_layer(self) -> list[nn.Module]:
        """The modules of the last layer, where GradNorm and `gradients=last_layer` compare gradients: the last module
        with parameters, unless a subclass knows better.
        """
        return [child for child in self.children() if any(True for _ in child.parameters())][-1:]

    def answer(self, features: Tensor) -> Tensor:
        """Logits over the vocabulary for features (... x D to ... x V), for trunks that were made to say words."""
        raise NotImplementedError

    @abstractmethod
    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features of the whole text, U x D."""
