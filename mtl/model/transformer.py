"""A small transformer encoder from scratch (Vaswani et al. 2017, layer norm first), with torch's fused attention."""

import torch
from torch import Tensor, nn

from mtl.functional import pooling
from mtl.model.base import Trunk


class Transformer(Trunk):
    """Embedding with learned positions, `layers` encoder layers and a last layer norm; texts are pooled by their mean.

    Args:
        vocabulary_size: rows of the embedding.
        per_token: unused: every layer sees both sides.
        max_length: learned positions; the longest input.
        width: D.
        layers: encoder layers.
        attention_heads: of each layer; should divide `width`.
        feedforward: hidden width of each layer's feed-forward part.
        dropout: in every layer and on the embedded tokens.
    """

    def __init__(
        self,
        vocabulary_size: int,
        per_token: bool,
        max_length: int = 512,
        width: int = 128,
        layers: int = 2,
        attention_heads: int = 4,
        feedforward: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % attention_heads:
            raise ValueError(f"`attention_heads` should divide `width` ({width}). Found {attention_heads}")
        self.width = width
        self.max_length = max_length
        self.embedding = nn.Embedding(vocabulary_size, width, padding_idx=0)
        self.positions = nn.Embedding(max_length, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        nn.init.normal_(self.positions.weight, std=width**-0.5)
        layer = nn.TransformerEncoderLayer(
            width, attention_heads, feedforward, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids to U x L x D features; ValueError for rows longer than `max_length`."""
        L = ids.shape[1]
        if self.max_length < L:
            raise ValueError(f"`max_length` should be at least the longest input, {L}. Found {self.max_length}")
        embedded = self.embedding(ids) + self.positions(torch.arange(L, device=ids.device))
        outside = ~pooling.inside(embedded, lengths)
        return self.layers(self.dropout(embedded), src_key_padding_mask=outside)

    def last_layer(self) -> list[nn.Module]:
        """The last encoder layer and the layer norm after it."""
        return [self.layers.layers[-1], *([self.layers.norm] if self.layers.norm is not None else [])]

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Mean over the row's own tokens."""
        return pooling.mean(features, lengths)
