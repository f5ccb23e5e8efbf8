"""`mtl predict`: what a recorded model says of new texts."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.training.predictor import Predictor


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "predict",
        help="what a recorded model says of new texts",
        description="Load the model of a run and answer for each text: label and probability, value, or tags.",
        epilog='Example: mtl predict RUN_ID --task zh_sentiment "这本书很好"',
    )
    parser.add_argument("run_id", metavar="RUN_ID", help="run id (its first letters are enough), or a checkpoint file")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; none: one a line from standard input")
    parser.add_argument("--task", action="append", metavar="NAME", help="task to answer (default: all of the run)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    parser.add_argument("--uri", help="the store (default: MLFLOW_TRACKING_URI, else mlflow.db in this folder)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Answer."""
    texts = args.texts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if not texts:
        raise MtlError("there is no text: give one, or one a line on standard input")
    predictor = load(Path(args.run_id) if args.run_id.endswith(".ckpt") else _download(args.run_id, args.uri))
    for text, answers in zip(texts, predictor.answer(texts, args.task), strict=True):
        print(_as_json(text, answers) if args.json else _as_lines(text, answers, len(texts) > 1))
    return 0


def load(checkpoint: Path) -> "Predictor":
    """The model of a checkpoint, ready to answer; no data is read."""
    import torch

    from mtl.cli.build import make_model
    from mtl.cli.instantiate import instantiate
    from mtl.data.task import Task
    from mtl.data.vocabulary import Vocabulary
    from mtl.training.predictor import Predictor

    if not checkpoint.is_file():
        raise MtlError(f"there is no checkpoint at {checkpoint}")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if "mtl" not in state:
        raise MtlError(f"{checkpoint} is not a checkpoint of mtl")
    kept = state["mtl"]
    tasks = {task["name"]: Task.from_state(task) for task in kept["tasks"]}
    vocabulary = Vocabulary.from_state(kept["vocabulary"])
    prompt = instantiate("prompt", kept["config"]["prompt"])
    prompt.load_state(kept["prompt"])
    model = make_model(kept["config"], tasks, len(vocabulary))
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in state["state_dict"].items() if name[:6] == "model."}
    )
    return Predictor(model, tasks, prompt, vocabulary, kept["config"]["data"]["max_length"])


def _download(run_id: str, uri: str | None) -> Path:
    """The checkpoint that a run recorded."""
    from mtl.tracking.artifacts import checkpoint_of
    from mtl.tracking.store import tracking_uri

    return checkpoint_of(tracking_uri(uri), run_id)


def _plain(answer: Any) -> dict[str, Any]:
    return {"answer": answer.value} | ({} if answer.probability is None else {"probability": answer.probability})


def _as_json(text: str, answers: dict[str, Any]) -> str:
    return json.dumps({"text": text} | {name: _plain(a) for name, a in answers.items()}, ensure_ascii=False)


def _as_lines(text: str, answers: dict[str, Any], several: bool) -> str:
    lines = [text] if several else []
    for name, answer in answers.items():
        said, sure = answer.value, answer.probability
        if isinstance(said, list):
            said = " ".join(map(str, said)) or "none of the labels"
        sure = f"  ({sure:.4f})" if isinstance(sure, float) else ""
        lines.append(f"{name}: {said}{sure}")
    return "\n".join(lines)
