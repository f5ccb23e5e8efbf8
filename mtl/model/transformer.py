"""A small transformer encoder from scratch (Vaswani et al. 2017, layer norm first), with torch's fused attention."""

import torch
from torch import Tensor, nn

from mtl.functional import pooling
from mtl.model.base import Prefix, Trunk


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
        frozen: train nothing of the trunk, as it was made from the seed.
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
        frozen: bool = False,
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
        if frozen:
            self.freeze()

    def embed(self, ids: Tensor) -> Tensor:
        """U x L ids to U x L x D."""
        return self.embedding(ids)

    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """U x L x D to U x L x D."""
        hidden = self.dropout(embedded + self.positions(positions))
        if prefix is None:
            return self.layers(hidden, src_key_padding_mask=~inside)
        inside = torch.cat((inside.new_ones(len(inside), prefix[0][0].shape[2]), inside), dim=1)
        for layer, before in zip(self._layers(), prefix, strict=True):
            hidden, _ = _layer(layer, hidden, inside, before)
        return self.layers.norm(hidden) if self.layers.norm is not None else hidden

    def prefix_shape(self) -> tuple[int, int, int]:
        """Layers, heads, width of a head."""
        first = self._layers()[0].self_attn
        return len(self.layers.layers), first.num_heads, first.head_dim

    def prefill(self, ids: Tensor) -> Prefix:
        """What each layer's heads would see of this text, read alone."""
        inside = torch.ones_like(ids, dtype=torch.bool)
        hidden = self.embed(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        found = []
        for layer in self._layers():
            hidden, seen = _layer(layer, hidden, inside, None)
            found.append(seen)
        return found

    def _layers(self) -> list[nn.TransformerEncoderLayer]:
        return [layer for layer in self.layers.layers if isinstance(layer, nn.TransformerEncoderLayer)]

    def last_layer(self) -> list[nn.Module]:
        """The last encoder layer and the layer norm after it."""
        return [self.layers.layers[-1], *([self.layers.norm] if self.layers.norm is not None else [])]

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Mean over the row's own tokens."""
        return pooling.mean(features, lengths)


def _layer(
    layer: nn.TransformerEncoderLayer, hidden: Tensor, inside: Tensor, before: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Torch's layer (norm first) with keys and values before its own, which its own forward has no room for.

    Returns:
        U x L x D, and the keys and values of the row's own places.
    """
    attention = layer.self_attn
    heads = (attention.num_heads, attention.head_dim)
    three = nn.functional.linear(layer.norm1(hidden), attention.in_proj_weight, attention.in_proj_bias)
    query, *own = (part.unflatten(-1, heads).transpose(1, 2) for part in three.chunk(3, dim=-1))
    key, value = own if before is None else (torch.cat(pair, dim=2) for pair in zip(before, own, strict=True))
    seen = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=inside[:, None, None], dropout_p=attention.dropout if layer.training else 0.0
    )
    hidden = hidden + layer.dropout1(attention.out_proj(seen.transpose(1, 2).flatten(2)))
    between = layer.dropout(layer.activation(layer.linear1(layer.norm2(hidden))))
    return hidden + layer.dropout2(layer.linear2(between)), (own[0], own[1])
