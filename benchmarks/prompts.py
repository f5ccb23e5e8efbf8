"""Steps around a frozen encoder as ratios: prompts of four tasks in one batch, and peft's; padding; bfloat16."""

import argparse
import random
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cache import LONGEST, MINILM, PIECES, C, Padded, Seconds, make_tasks, now, shown
from benchmarks.step import quieten
from benchmarks.synth import ROWS, machine, make_loader, make_optimizer
from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds import Classification
from mtl.data.pretrained import locate
from mtl.functional import pooling
from mtl.model.base import Trunk
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained.trunk import Pretrained
from mtl.model.prompt.base import Learned
from mtl.model.prompt.prefix import Prefix
from mtl.model.prompt.soft import Soft
from mtl.prompts.none import NoPrompt

KIND = Classification(tuple("abcde"[:C]))
Step = Callable[[], float]
"""One step of training; its loss."""


def make_batch(tasks: int) -> Batch:
    """32 random texts (lengths lognormal with a mean of 25, clipped to 3 to 64), dealt out to this many tasks."""
    generator = np.random.default_rng(0)
    lengths = torch.from_numpy(generator.lognormal(np.log(25) - 0.18, 0.6, ROWS).clip(3, LONGEST).astype(int))
    ids = torch.from_numpy(generator.integers(1, PIECES, (ROWS, int(lengths.max()))))
    ids = ids.masked_fill(~pooling.inside(ids, lengths), 0)
    targets, rows = torch.from_numpy(generator.integers(0, C, ROWS)), torch.arange(ROWS)
    shares = {
        f"task{number}": TaskRows(None if tasks == 1 else rows[number::tasks], targets[number::tasks])
        for number in range(tasks)
    }
    return Batch(ids, lengths, shares)


class Ours:
    """A step of `mtl`'s own model on one batch: frozen trunk, a learned prompt and a head for each task."""

    def __init__(self, trunk: Trunk, prompt: Learned | None, batches: Sequence[Batch], bf16: bool = False) -> None:
        self.batches, self.bf16 = batches, bf16
        kinds = dict.fromkeys(batches[0].tasks, KIND)
        if prompt is not None:
            for name in kinds:
                prompt.rows[name] = nn.ParameterDict({_place(prompt): _start(prompt, trunk)})
        self.model = MultiTaskModel(trunk, kinds, prompt=prompt)
        for head in self.model.heads.values():
            torch.manual_seed(0)
            head.apply(lambda module: module.reset_parameters() if isinstance(module, nn.Linear) else None)
        self.optimizer = make_optimizer([p for p in self.model.parameters() if p.requires_grad])

    def __call__(self) -> float:
        """The batches in turn; the last one's mean loss."""
        for batch in self.batches:
            with torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext():
                outputs = self.model(batch)
                losses = [KIND.loss(outputs[name].float(), rows.targets) for name, rows in batch.tasks.items()]
            loss = torch.stack(losses).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return float(loss.detach())


def _place(prompt: Learned) -> str:
    return "states" if isinstance(prompt, Prefix) else "vectors"


def _start(prompt: Learned, trunk: Trunk) -> Tensor:
    """Normal values: the same for each task, ours and peft's."""
    generator = torch.Generator().manual_seed(1)
    if not isinstance(prompt, Prefix):
        return 0.05 * torch.randn(prompt.places(""), trunk.width, generator=generator)
    shape = trunk.prefix_shape()
    assert shape is not None
    layers, heads, width = shape
    return torch.randn(layers, 2, heads, prompt.places(""), width, generator=generator)


class Peft:
    """The same around peft's model of the same encoder: each task an adapter, a batch and a step of its own."""

    def __init__(self, model: str, trunk: Pretrained, prompt: Learned, batch: Batch) -> None:
        import peft
        import transformers

        kind: Any = peft.PrefixTuningConfig if isinstance(prompt, Prefix) else peft.PromptTuningConfig
        config = lambda: kind(task_type="FEATURE_EXTRACTION", num_virtual_tokens=prompt.places(""))  # noqa: E731
        backbone = transformers.AutoModel.from_pretrained(locate(model, None), dtype=torch.float32)
        start = _start(prompt, trunk)
        self.tasks: list[Any] = []
        self.model: Any = None
        for name, rows in batch.tasks.items():
            if self.model is None:
                self.model = peft.get_peft_model(backbone, config(), adapter_name=name)
            else:
                self.model.add_adapter(name, config())
            own = batch if rows.inputs is None else batch.only(rows.inputs, {})
            longest = int(own.lengths.max())
            weight = self.model.prompt_encoder[name].embedding.weight
            flat = start.permute(3, 0, 1, 2, 4) if isinstance(prompt, Prefix) else start
            weight.data.copy_(flat.reshape(weight.shape))
            torch.manual_seed(0)
            head = nn.Linear(trunk.width, C)
            parameters = [weight.requires_grad_(), *head.parameters()]
            mask = pooling.inside(own.ids[:, :longest], own.lengths).long()
            self.tasks.append(
                (name, own.ids[:, :longest], mask, own.lengths, rows.targets, head, make_optimizer(parameters))
            )
        self.model.eval()  # no dropout, as with a frozen trunk of ours

    def __call__(self) -> float:
        """One step of each task."""
        losses = []
        for name, ids, mask, lengths, targets, head, optimizer in self.tasks:
            self.model.set_adapter(name)
            features = self.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, -ids.shape[1] :]
            loss = F.cross_entropy(head(pooling.mean(features, lengths)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return sum(losses) / len(losses)


def make_arms(model: str, places: int, texts: int) -> Mapping[str, Step]:
    """Everything that is timed, by name."""
    trunk = Pretrained(0, False, model, False)
    one, mixed = make_batch(1), make_batch(4)
    epoch = list(make_loader(make_tasks(texts, 4), texts // ROWS))
    soft, prefix = (lambda: Soft(NoPrompt(), places)), (lambda: Prefix(NoPrompt(), places))
    return {
        "soft, one task": Ours(trunk, soft(), [one]),
        "soft, four tasks": Ours(trunk, soft(), [mixed]),
        "soft, four tasks, peft": Peft(model, trunk, soft(), mixed),
        "prefix, one task": Ours(trunk, prefix(), [one]),
        "prefix, four tasks": Ours(trunk, prefix(), [mixed]),
        "prefix, one task, peft": Peft(model, trunk, prefix(), one),
        "epoch padded to 64": Ours(Padded(trunk), None, epoch),
        "epoch": Ours(trunk, None, epoch),
        "epoch, bf16": Ours(trunk, None, epoch, bf16=True),
    }


RATIOS = {
    "soft: four tasks in a batch / one task": ("soft, four tasks", "soft, one task", "at most 1.05"),
    "soft: four tasks in a batch / peft, task by task": ("soft, four tasks", "soft, four tasks, peft", "below 1"),
    "prefix: one task / peft": ("prefix, one task", "prefix, one task, peft", "at most 1"),
    "prefix: four tasks in a batch / one task": ("prefix, four tasks", "prefix, one task", "–"),
    "an epoch of heads: padded to 64 / batches of like lengths": ("epoch padded to 64", "epoch", "2.40 was published"),
    "the same: padded to 64, float32 / like lengths, bf16": ("epoch padded to 64", "epoch, bf16", "at least 3.5"),
}
"""What is asked: (above, below, target)."""
ALIKE = [("soft, four tasks", "soft, four tasks, peft"), ("prefix, one task", "prefix, one task, peft")]


def measure(arms: Mapping[str, Step], repeats: int, wanted: Sequence[str]) -> list[dict[str, Seconds]]:
    """Seconds of each arm's step, in each repeat; all arms in a random order inside it, after a step that warms up."""
    order, found = random.Random(0), []
    for name in wanted:
        arms[name]()
    for _ in range(repeats):
        seconds = {}
        for name in order.sample(list(wanted), len(wanted)):
            began = now()
            arms[name]()
            seconds[name] = now() - began
        found.append(seconds)
    return found


def check(arms: Mapping[str, Step]) -> None:
    """Ours and peft's compute the same first loss."""
    for ours, theirs in ALIKE:
        a, b = arms[ours](), arms[theirs]()
        assert abs(a - b) < 1e-3, f"{ours}: a loss of {a:.5f}, and peft's is {b:.5f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MINILM, help="a frozen encoder (default: the MiniLM of the extra llm)")
    parser.add_argument("--places", type=int, default=20, help="length of the prompts (default: 20)")
    parser.add_argument("--texts", type=int, default=256, help="of an epoch, a multiple of 32 (default: 256)")
    parser.add_argument("--repeats", type=int, default=15, help="rounds over the steps (default: 15)")
    parser.add_argument("--epochs", type=int, default=5, help="rounds over the epochs (default: 5)")
    options = parser.parse_args(arguments)
    quieten()
    torch.set_num_threads(1)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.prompts {words}".rstrip())
    print(", ".join(machine(1, "transformers", "peft")) + "\n")
    arms = make_arms(options.model, options.places, options.texts)
    check(arms)
    steps = [name for name in arms if "epoch" not in name]
    rounds = measure(arms, options.repeats, steps), measure(arms, options.epochs, [n for n in arms if n not in steps])
    print("| | wall | processor | target |\n|---|---|---|---|")
    for name, (above, below, target) in RATIOS.items():
        found = [seconds[above] / seconds[below] for part in rounds for seconds in part if above in seconds]
        print(f"| {name} | {' | '.join(map(shown, np.transpose(found)))} | {target} |")
    print("\nms of processor time a step, or an epoch: ", end="")
    print(", ".join(f"{n} {1e3 * np.median([s[n][1] for s in p]):.0f}" for p in rounds for n in p[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
