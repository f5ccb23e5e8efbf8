"""A pretrained encoder or decoder as a trunk: frozen, tuned as a whole, or with LoRA (Hu et al. 2021)."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.data.pretrained import locate, longest_input
from mtl.errors import MtlError
from mtl.functional import pooling as pools
from mtl.functional.alike import alike
from mtl.model.base import Trunk
from mtl.model.pretrained import seam
from mtl.model.pretrained.adapters import add_adapters
from mtl.model.pretrained.trained import drop_untrained, miss_only_trained

Tuning = Literal["frozen", "full", "lora"]
Pooling = Literal["mean", "first", "last", "max"]
Known = Callable[[Tensor, Tensor], Tensor | None]
"""U x L ids and U lengths to what is known of these texts, U x L x something; `None` where one is missing."""
PLACES = 4096
"""Tokens, padding included, whose keys and values are looked up at once: tens of kilobytes each."""
DTYPES = ("float32", "bfloat16", "float16")


class Pretrained(Trunk):
    """A model of the Hugging Face format without its own head.

    A checkpoint holds what was trained and nothing else: the rest is found again by the model's name.

    Args:
        vocabulary_size: unused: the model brings its own tokenizer.
        per_token: unused.
        name: a folder, `package:MODULE/FOLDER`, or `owner/name` on the hub.
        causal: a decoder, whose tokens see only what stands before them.
        revision: of the hub: commit, tag or branch.
        tuning: `frozen` (no dropout in it), `full`, or `lora`.
        train_from: the first layer (from 0) that trains, in full or by LoRA. What takes part in what it is given, the
            embedding included, stays frozen and drops nothing out. `None`: everything trains as `tuning` says.
        pooling: features of a text: the `mean` or `max` over its tokens, its `first` or its `last` one.
        dtype: of the weights in memory; float32 where they are trained. Features are float32 always.
        gradient_checkpointing: less memory, more time.
        trust_remote_code: run the model's own Python files.
        language_model: keep what the model answers with (`head=cloze`, `generation`).
        lora_rank: r.
        lora_alpha: the adapters' product is multiplied by alpha / r.
        lora_dropout: on what an adapter reads.
        lora_modules: names of the linear maps that get an adapter, or `all-linear`; `None`: peft's for this model.
    """

    backbone: Any

    def __init__(
        self,
        vocabulary_size: int,
        per_token: bool,
        name: str | None,
        causal: bool,
        revision: str | None = None,
        tuning: Tuning = "frozen",
        train_from: int | None = None,
        pooling: Pooling = "mean",
        dtype: str = "float32",
        gradient_checkpointing: bool = False,
        trust_remote_code: bool = False,
        language_model: bool = False,
        lora_rank: int = 8,
        lora_alpha: int = 16,
        lora_dropout: float = 0.0,
        lora_modules: Sequence[str] | str | None = None,
    ) -> None:
        super().__init__()
        for field, value, allowed in (
            ("tuning", tuning, get_args(Tuning)),
            ("pooling", pooling, get_args(Pooling)),
            ("dtype", dtype, DTYPES),
        ):
            if value not in allowed:
                raise ValueError(f"`{field}` should be {', '.join(allowed)}. Found '{value}'")
        if tuning == "full" and dtype != "float32":
            raise ValueError(f"`dtype` should be float32 for tuning=full. Found '{dtype}'")
        if train_from is not None and tuning == "frozen":
            raise ValueError(f"`train_from` needs tuning=full or lora. Found train_from={train_from} and tuning=frozen")
        folder = locate(name, revision, trust_remote_code)
        self.name, self.causal, self.tuning, self.pooling = str(name), causal, tuning, pooling
        self.checkpointing, self.frozen = gradient_checkpointing, tuning == "frozen"
        self.max_length = longest_input(folder)
        backbone, self.answering = seam.load(folder, self.name, causal, language_model, dtype, trust_remote_code)
        self.backbone, self.width = backbone, backbone.config.hidden_size
        shared = {id(parameter) for parameter in backbone.parameters()}
        for parameter in self.answering.parameters() if self.answering is not None else ():
            parameter.requires_grad_(id(parameter) in shared)  # it trains no further than it is the embedding
        if tuning == "frozen":
            self.backbone.requires_grad_(False)
        depth = backbone.config.num_hidden_layers
        if train_from is not None and (type(train_from) is not int or not 0 <= train_from < depth):
            raise ValueError(f"`train_from` should be null or a layer from 0 to {depth - 1}. Found {train_from!r}")
        self.train_from = train_from
        if tuning == "lora":
            outside = seam.inside_below(backbone, train_from) if train_from else None
            add_adapters(backbone, self.name, lora_rank, lora_alpha, lora_dropout, lora_modules, outside)
        if train_from is not None:
            seam.freeze_below(backbone.eval(), causal, train_from)
        if gradient_checkpointing:
            seam.recompute(self.backbone)
        self._memory: seam.Memory | None = None
        self.known_states: Known | None = None
        self.known_keys: Known | None = None
        self.register_state_dict_post_hook(drop_untrained)
        self.register_load_state_dict_post_hook(miss_only_trained)
        self.train()

    def train(self, mode: bool = True) -> "Pretrained":
        """What is frozen stays as it is when it answers: no dropout."""
        super().train(mode and not self.frozen)
        if self.train_from is not None:
            self.backbone.eval()
            seam.layers(self.backbone)[self.train_from :].train(mode)
        if self.checkpointing and (self.frozen or self.train_from is not None):
            seam.mark_training(self.backbone, mode)
        return self

    def embed(self, ids: Tensor) -> Tensor:
        """U x L ids to U x L x E embedded tokens, without positions."""
        return self.backbone.get_input_embeddings()(ids)

    def encode(
        self,
        embedded: Tensor,
        inside: Tensor,
        positions: Tensor,
        prefix: Sequence[tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """U x L x E embedded tokens to U x L x D features; what stands outside gets zeros.

        Args:
            embedded: U x L x E.
            inside: U x L bools, which places are real; they may lie anywhere.
            positions: U x L or 1 x L (long), counted over real places, those of a prefix before them included.
            prefix: keys and values that every layer sees before the text, layer by layer, each
                U x heads x P x head width (`prefix_shape`).
        """
        if prefix is not None and self.checkpointing:
            raise MtlError("trunk: gradient_checkpointing should be false with keys and values as a prompt. Found true")
        lengths = inside.sum(1)
        positions = positions.expand(inside.shape)
        order = torch.argsort((~inside).byte(), dim=1, stable=True)[:, : int(lengths.max())]
        features = self._run(_take(embedded, order), lengths, positions.gather(1, order), prefix)
        spread = features.new_zeros(*inside.shape, features.shape[-1])
        features = features.masked_fill(~pools.inside(features, lengths)[..., None], 0)
        return spread.scatter(1, order[..., None].expand_as(features), features)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids, padded on the right, to U x L x D features."""
        states = None if self.known_states is None else self.known_states(ids, lengths)
        if states is not None:
            return self.above(states, lengths)
        return self._run(self.embed(ids), lengths, _counted(ids), None)

    def below(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids, padded on the right, to U x L x D: what the first layer that trains is given."""
        assert self.train_from is not None
        embedded = self.embed(ids).to(self.backbone.dtype)
        return seam.below(self.backbone, self.causal, embedded, lengths, _counted(ids), self.train_from).float()

    def above(self, states: Tensor, lengths: Tensor) -> Tensor:
        """What `below` gives to U x L x D features: the frozen layers don't run again."""
        return self._run(states, lengths, _counted(states[..., 0]), None, True)

    def keys(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids, padded on the right, to U x L x K: keys and values of every layer, a decoder's token by token."""
        found = torch.stack([torch.stack(pair) for pair in self.prefill(ids)])  # layers x 2 x U x heads x L x width
        return found.permute(2, 4, 0, 1, 3, 5).flatten(2).float()

    def follow(self, vectors: Tensor, counts: Tensor, ids: Tensor, lengths: Tensor) -> Tensor | None:
        """U x P x D, from the keys and values of the texts, where they are known; a part of the rows at a time."""
        if self.known_keys is None:
            return None
        shape, found = seam.prefix_shape(self.backbone), []
        assert shape is not None
        layers, heads, width = shape
        for at in torch.arange(len(ids), device=ids.device).split(max(1, PLACES // ids.shape[1])):
            keys = self.known_keys(ids[at], lengths[at])
            if keys is None:
                return None
            prefix = list(keys.unflatten(2, (layers, 2, heads, width)).permute(2, 3, 0, 4, 1, 5))
            positions = lengths[at, None] + torch.arange(vectors.shape[1], device=ids.device)
            behind = vectors[at].to(self.backbone.dtype)
            found.append(seam.follow(self.backbone, behind, counts[at], prefix, lengths[at], positions))
        return torch.cat(found).float()

    def _run(
        self, embedded: Tensor, lengths: Tensor, positions: Tensor, prefix: seam.Prefix | None, begun: bool = False
    ) -> Tensor:
        """On a processor, whose time goes with the places, rows of like length go through the model together.

        What is remembered for answers that go on is one block. What has `begun` is what the first layer that trains
        is given.
        """
        parts = alike(lengths) if embedded.device.type == "cpu" and self._memory is None else []
        if len(parts) < 2:
            return self._run_block(embedded, lengths, positions, prefix, begun)
        found = []
        for at in parts:
            longest = int(lengths[at[-1]])
            seen = None if prefix is None else [(keys[at], values[at]) for keys, values in prefix]
            features = self._run_block(embedded[at, :longest], lengths[at], positions[at, :longest], seen, begun)
            found.append(F.pad(features, (0, 0, 0, embedded.shape[1] - longest)))
        return torch.cat(found)[torch.cat(parts).argsort()]

    def _run_block(
        self, embedded: Tensor, lengths: Tensor, positions: Tensor, prefix: seam.Prefix | None, begun: bool
    ) -> Tensor:
        embedded = embedded.to(self.backbone.dtype)
        if begun:
            assert self.train_from is not None
            return seam.above(self.backbone, self.causal, embedded, lengths, positions, self.train_from).float()
        return seam.encode(self.backbone, self.causal, embedded, lengths, positions, prefix, self._memory).float()

    @contextlib.contextmanager
    def remembering(self) -> Generator[seam.Memory, None, None]:
        """What a decoder reads in here, in one go, `go_on` can go on from."""
        self._memory = seam.Memory()
        try:
            yield self._memory
        finally:
            self._memory = None

    def go_on(self, ids: Tensor, memory: seam.Memory) -> Tensor:
        """The next token of each row (U ids) to its features, U x D."""
        return seam.go_on(self.backbone, self.embed(ids[:, None]).to(self.backbone.dtype), memory)[:, 0].float()

    def prefill(self, ids: Tensor) -> seam.Prefix:
        """The keys and values of texts of one length (U x P ids), as `encode` takes them."""
        return seam.prefill(self.backbone, self.causal, self.embed(ids).to(self.backbone.dtype))

    def prefix_shape(self) -> tuple[int, int, int] | None:
        """(layers, heads of keys and values, head width); `None` for a model that can't read them."""
        return seam.prefix_shape(self.backbone)

    def answer(self, features: Tensor) -> Tensor:
        """Logits over the model's vocabulary for features of any shape ... x D; needs `language_model`."""
        assert self.answering is not None
        return self.answering(features.to(self.backbone.dtype)).float()

    def last_layer(self) -> list[nn.Module]:
        """The last layer of the model."""
        return [seam.layers(self.backbone)[-1]]

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """U x L x D to U x D."""
        if self.pooling == "first":
            return features[:, 0]
        pool = {"mean": pools.mean, "max": pools.maximum, "last": pools.last}[self.pooling]
        return pool(features, lengths)


def _counted(ids: Tensor) -> Tensor:
    """U x L: 0 to L - 1 in each row."""
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)


def _take(values: Tensor, order: Tensor) -> Tensor:
    return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
