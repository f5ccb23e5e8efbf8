"""`mtl predict`: what a recorded model says of new texts."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mtl.cli import parents
from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    from mtl.data.encoder import Encoder
    from mtl.data.task import Task
    from mtl.model.multitask import MultiTaskModel
    from mtl.prompts.base import Prompt
    from mtl.training.predictor import Predictor


OUTPUTS = (".csv", ".parquet", ".jsonl")
EXAMPLE = """examples:
  mtl predict RUN_ID --task zh_sentiment "这本书很好"
  mtl predict models:/reviews/1 --input reviews.csv --text comment --output answers.csv
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "predict",
        help="what a recorded model says of new texts",
        description="Load the model of a run and answer for each text: label and probability, value, or tags.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.store()],
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run id (its first letters are enough), models:/NAME/VERSION, runs:/RUN_ID/model, or on disk a "
        "checkpoint (.ckpt), a prompt file (.safetensors) or the folder of a model",
    )
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; none: one a line from standard input")
    parser.add_argument("--task", action="append", metavar="NAME", help="task to answer (default: all of the run)")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="texts from a .txt (one a line), .csv, .tsv, .jsonl or .parquet file"
    )
    parser.add_argument(
        "--text", default="text", metavar="COLUMN", help="the file's column of texts (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write a table of a line for each text and task (.csv or .parquet), or one JSON object a text (.jsonl)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Answer."""
    if args.output and args.output.suffix not in OUTPUTS:
        raise MtlError(f"output should end in {choices(OUTPUTS)}. Found '{args.output}'")
    if args.input and args.texts:
        raise MtlError(f"texts come from --input or from the command line, not from both. Found '{args.texts[0]}'")
    if args.input:
        texts, named = _read(args.input, args.text)
    else:
        texts = args.texts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
        named = [None] * len(texts)
    if not texts:
        raise MtlError("there is no text: give one, or one a line on standard input")
    predictor = load(find(args.model, args.uri))
    everything = args.task or list(predictor.tasks)
    answers = predictor.answer_each(texts, [[name] if name else everything for name in named])
    if args.output:
        _write(args.output, texts, answers)
        print(f"{len(texts)} texts answered, written to {args.output}", file=sys.stderr)
        return 0
    for text, given in zip(texts, answers, strict=True):
        print(_as_json(text, given) if args.json else _as_lines(text, given, len(texts) > 1))
    return 0


def _read(path: Path, column: str) -> tuple[list[str], list[str | None]]:
    """Texts of a file, and the task that its column `task` names, where it has one; MtlError at the first bad row."""
    from mtl.data.sources.files import Files
    from mtl.data.text import text_of

    texts, named = [], []
    for row in Files(str(path), text=column, format="lines" if path.suffix == ".txt" else None).rows():
        try:
            if row.problem:
                raise ValueError(row.problem)
            if column not in row.fields:
                raise ValueError(f"field '{column}' is missing; there are {choices(row.fields) or 'none'}")
            try:
                text, tokens = text_of(row.fields[column])
            except ValueError as error:
                raise ValueError(f"field '{column}' {error}") from None
            if tokens is not None:
                raise ValueError(f"field '{column}' should be a text. Found a list of tokens")
        except ValueError as error:
            raise MtlError(f"{row.file}, line {row.line}: {error}") from None
        texts.append(text)
        named.append(row.fields.get("task") or None)
    if not texts:
        raise MtlError(f"{path} holds no texts")
    return texts, named


def _write(path: Path, texts: Sequence[str], answers: Sequence[Mapping[str, Any]]) -> None:
    from mtl.training.predictor import tidy

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            lines = [_as_json(text, given) + "\n" for text, given in zip(texts, answers, strict=True)]
            path.write_text("".join(lines), encoding="utf-8")
        elif path.suffix == ".csv":
            tidy(texts, answers).to_csv(path, index=False)
        else:
            tidy(texts, answers).to_parquet(path, index=False)
    except OSError as error:
        raise MtlError(f"output: {path} cannot be written: {error.strerror}") from error


def find(name: str, uri: str | None) -> Path:
    """The checkpoint that is meant: a file, the one in a model's folder, a run's, or a registered model's."""
    from mtl.tracking.artifacts import checkpoint_in, checkpoint_of
    from mtl.tracking.store import tracking_uri

    path = Path(name)
    if path.suffix in (".ckpt", ".safetensors"):
        return path
    return checkpoint_in(path, name) if path.is_dir() else checkpoint_of(tracking_uri(uri), name)


class Loaded(NamedTuple):
    """What a checkpoint or a prompt file gives."""

    model: "MultiTaskModel"
    tasks: "Mapping[str, Task]"
    prompt: "Prompt"
    vocabulary: "Encoder"
    payload: Mapping[str, Any]


def load(checkpoint: Path) -> "Predictor":
    """The model of a checkpoint or of a prompt file, ready to answer; no data is read."""
    from mtl.training.predictor import Predictor

    model, tasks, prompt, vocabulary, payload = load_model(checkpoint)
    return Predictor(model, tasks, prompt, vocabulary, payload["config"]["data"]["max_length"])


def load_model(checkpoint: Path) -> Loaded:
    """The model and all that belongs to it."""
    import torch

    from mtl.cli import prompt_file
    from mtl.cli.build import make_model
    from mtl.cli.generation import spoken
    from mtl.cli.instantiate import instantiate
    from mtl.data.encoder import encoder_from
    from mtl.data.task import Task

    if not checkpoint.is_file():
        raise MtlError(f"there is no checkpoint at {checkpoint}")
    prompts: tuple[dict[str, torch.Tensor], str] | None = None
    state: dict[str, Any] = {}
    if checkpoint.suffix == ".safetensors":
        kept, tensors, trunk = prompt_file.read(checkpoint)
        prompts = (tensors, trunk)
    else:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if "mtl" not in state:
            raise MtlError(f"{checkpoint} is not a checkpoint of mtl")
        kept = state["mtl"]
    tasks = {task["name"]: Task.from_state(task) for task in kept["tasks"]}
    vocabulary = encoder_from(kept["vocabulary"])
    prompt = instantiate("prompt", kept["config"]["prompt"])
    prompt.load_state(kept["prompt"])
    model = make_model(kept["config"], tasks, vocabulary, prompt)
    if prompts is not None:
        prompt_file.put(checkpoint, model, *prompts)
    else:
        model.load_state_dict(
            {name.removeprefix("model."): value for name, value in state["state_dict"].items() if name[:6] == "model."}
        )
    return Loaded(model, spoken(tasks, kept["config"]), prompt, vocabulary, kept)


def _plain(answer: Any) -> dict[str, Any]:
    return {"answer": answer.value} | ({} if answer.probability is None else {"probability": answer.probability})


def _as_json(text: str, answers: Mapping[str, Any]) -> str:
    return json.dumps({"text": text} | {name: _plain(a) for name, a in answers.items()}, ensure_ascii=False)


def _as_lines(text: str, answers: Mapping[str, Any], several: bool) -> str:
    lines = [text] if several else []
    for name, answer in answers.items():
        said, sure = answer.value, answer.probability
        if isinstance(said, list):
            said = " ".join(map(str, said)) or "none of the labels"
        elif said is None:
            said = "(no label)"
        sure = f"  ({sure:.4f})" if isinstance(sure, float) else ""
        lines.append(f"{name}: {said}{sure}")
    return "\n".join(lines)
