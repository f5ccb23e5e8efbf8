"""The article's trunk: embedding, then an LSTM (Hochreiter and Schmidhuber 1997) of 128 units with tanh."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mtl.functional import pooling
from mtl.model.base import Prefix, Trunk

Pooling = Literal["last", "mean", "max"]


class LSTM(Trunk):
    """Embedding and LSTM, in one direction or both.

    The backward direction is an LSTM of its own over the rows turned around within their lengths: exact for padded
    rows, and on a CPU almost twice as fast as packed sequences, for which torch has no fused kernel.

    Args:
        vocabulary_size: rows of the embedding.
        per_token: whether a task of the run tags tokens; `bidirectional="auto"` follows it.
        units: width of the features; two directions have half of them each, so that heads and baselines of one
            direction and of two are of one size.
        embedding: width of the embedding.
        bidirectional: read the text from both ends.
        pooling: features of a text: of the `last` token (each direction's own), or `mean` or `max` over tokens.
        dropout: on the embedded tokens and on the features.
        frozen: train nothing of the trunk, as it was made from the seed.
    """

    def __init__(
        self,
        vocabulary_size: int,
        per_token: bool,
        units: int = 128,
        embedding: int = 128,
        bidirectional: bool | Literal["auto"] = "auto",
        pooling: Pooling = "max",
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"`pooling` should be {', '.join(get_args(Pooling))}. Found '{pooling}'")
        both = per_token if bidirectional == "auto" else bool(bidirectional)
        if units < 1 or (both and units % 2):
            raise ValueError(f"`units` should be positive, and even for two directions. Found {units}")
        self.width, self.pooling = units, pooling
        self.each = units // 2 if both else units
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=0)
        self.forwards = nn.LSTM(embedding, self.each, batch_first=True)
        self.backwards = nn.LSTM(embedding, self.each, batch_first=True) if both else None
        self.dropout = nn.Dropout(dropout)
        self.causal = self.backwards is None
        if frozen:
            self.freeze()

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids to U x L x D features."""
        return self._read(self.embed(ids), lengths)

    def embed(self, ids: Tensor) -> Tensor:
        """U x L ids to U x L x E."""
        return self.embedding(ids)

    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """The places that exist are read one after the other, wherever they stand; an LSTM needs no positions."""
        if prefix is not None:
            raise ValueError("an LSTM has no keys and values to put a prefix before")
        order = (~inside).to(torch.uint8).argsort(dim=1, stable=True)
        features = self._read(embedded.take_along_dim(order[..., None], 1), inside.sum(1))
        return features.take_along_dim(order.argsort(dim=1)[..., None], 1)

    def _read(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        embedded = self.dropout(embedded)
        features, _ = self.forwards(embedded)
        if self.backwards is not None:
            turned, _ = self.backwards(pooling.reverse(embedded, lengths))
            features = torch.cat((features, pooling.reverse(turned, lengths)), dim=-1)
        return self.dropout(features)

    def last_layer(self) -> list[nn.Module]:
        """The LSTM, in all its directions."""
        return [self.forwards] if self.backwards is None else [self.forwards, self.backwards]

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """U x L x D to U x D."""
        if self.pooling == "mean":
            return pooling.mean(features, lengths)
        if self.pooling == "max":
            return pooling.maximum(features, lengths)
        last = pooling.last(features[..., : self.each], lengths)
        return last if self.backwards is None else torch.cat((last, features[:, 0, self.each :]), dim=-1)
