"""One trunk, one head a task; the trunk sees each distinct input once."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.data.kinds import Kind
from mtl.model.base import Trunk
from mtl.model.cloze.cloze import Cloze, ClozeHead
from mtl.model.cloze.generation import Generation
from mtl.model.conditioned import Conditioned
from mtl.model.prompt.base import Learned


class MultiTaskModel(nn.Module):
    """The shared trunk and a head for each task: linear, or words that the trunk's own language model says.

    Args:
        trunk: shared by all tasks.
        kinds: name and kind of each task of the run, in its order.
        dropout: on the features that a linear head reads.
        condition: units of the layer that tells the model a preference between its tasks; 0: it hears none.
        prompt: the table of learned prompts, made; `None`: the text says all.
        cloze: label words in place of linear heads; the trunk then has an `answer`.
        bias: whether a cloze head learns a number for each label.
        generation: the trunk says the answers, and there are no heads; it then has an `answer`, and kinds are `Spoken`.
    """

    def __init__(
        self,
        trunk: Trunk,
        kinds: Mapping[str, Kind],
        dropout: float = 0.0,
        condition: int = 0,
        prompt: Learned | None = None,
        cloze: Cloze | None = None,
        bias: bool = False,
        generation: Generation | None = None,
    ) -> None:
        super().__init__()
        self.trunk, self.prompt, self.cloze, self.generation = trunk, prompt, cloze, generation
        self.per_token = {name: kind.per_token for name, kind in kinds.items()}
        self.reads_tokens = any(self.per_token.values()) or self.says_words
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(dropout), nn.Linear(trunk.width, kind.num_outputs))
                if cloze is None
                else ClozeHead(cloze.plans[name], bias)
                for name, kind in ({} if generation else kinds).items()
            }
        )
        self.condition = Conditioned(len(kinds), condition, trunk.width) if condition else None

    @property
    def says_words(self) -> bool:
        """Whether the trunk's own language model answers."""
        return self.cloze is not None or self.generation is not None

    def asked(self, batch: Batch) -> Batch:
        """The batch as `features` and `outputs` take it: with what label words need, or with the right answers."""
        words = self.cloze or self.generation
        return batch if words is None else words.expand(batch)

    def places(self, batch: Batch) -> int:
        """Places that the trunk computes for a batch: padding, label words and prompts among the tokens included."""
        U, L = self.asked(batch).ids.shape
        return U * (L + (0 if self.prompt is None else max(map(self.prompt.computed, batch.tasks))))

    def shared(self) -> dict[str, nn.Parameter]:
        """The parameters of trunk and learned prompts, by name."""
        return {name: p for name, p in self.named_parameters() if name.startswith(("trunk.", "prompt."))}

    def idle(self, tasks: Iterable[str]) -> list[nn.Parameter]:
        """Parameters of learned prompts that belong to other tasks than these."""
        return [] if self.prompt is None else [self.prompt.get_parameter(name) for name in self.prompt.idle(tasks)]

    def saved_parameters(self) -> int:
        """How many numbers answer beside a trunk that is found again by its name, or made again from its seed: heads
        (the priors of label words are of them), learned prompts as they are saved, and what trained of the trunk.
        """
        prompts = [] if self.prompt is None else self.prompt.kept().values()
        parts = [self.heads, *([self.condition] if self.condition else [])]
        own = [
            *(value for part in parts for value in part.state_dict().values()),
            *(p for p in self.trunk.parameters() if p.requires_grad),
        ]
        return sum(value.numel() for value in [*prompts, *own])

    def features(self, batch: Batch) -> Tensor:
        """What heads read: tokens, U x L x D, or whole texts, U x D, where no task of the run tags tokens."""
        features = self.trunk(batch.ids, batch.lengths) if self.prompt is None else self.prompt(self.trunk, batch)
        read = features if self.reads_tokens else self._pool(features, batch)
        return read if self.condition is None else self.condition(read)

    def outputs(self, batch: Batch, features: Tensor) -> dict[str, Tensor]:
        """What each task's head makes of the features: R x C, or R x L x C for one output a token."""
        if self.cloze is not None:
            read = {name: self.cloze.read(name, batch, features) for name in batch.tasks}
            return {name: self.heads[name](self.trunk.answer(hidden)) for name, hidden in read.items()}
        if self.generation is not None:
            score = self.generation.score
            return {name: score(name, batch, features, self.trunk.answer) for name in batch.tasks}
        texts = None if self.reads_tokens else features
        outputs = {}
        for name, rows in batch.tasks.items():
            if self.per_token[name]:
                read = features
            else:
                read = texts = self._pool(features, batch) if texts is None else texts
            outputs[name] = self.heads[name](read if rows.inputs is None else read[rows.inputs])
        return outputs

    def _pool(self, features: Tensor, batch: Batch) -> Tensor:
        if self.prompt is None:
            return self.trunk.pool(features, batch.lengths)
        return self.prompt.pool(self.trunk, features, batch)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs of each task of the batch: R x C, or R x L x C for one a token."""
        batch = self.asked(batch)
        return self.outputs(batch, self.features(batch))

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        """What a kind makes answers of, without looking at targets: the outputs, or what is generated."""
        if self.generation is None:
            return self(batch)
        return {name: self.generation.say(name, batch, self.trunk, self.features) for name in batch.tasks}

    def evaluated(self, batch: Batch) -> dict[str, Tensor]:
        """What a kind takes a loss and metrics of: the outputs, behind what is generated."""
        outputs = self(batch)
        if self.generation is None:
            return outputs
        return {name: torch.cat((said, outputs[name]), dim=1) for name, said in self.answers(batch).items()}
