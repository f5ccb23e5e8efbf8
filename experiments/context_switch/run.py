"""What does a conversation that switched its task cost a real decoder? `mtl reproduce context_switch`."""

import argparse
import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import mtl
from mtl.cli.build import make_specs
from mtl.cli.main import main as command
from mtl.cli.predict import Loaded, load_model
from mtl.functional.switch_cost import Estimate, estimate
from mtl.reporting.measured import write_measured
from mtl.tracking.artifacts import checkpoint_of
from mtl.training.context_switch import Scored, score
from mtl.training.conversation import told

from .picture import draw

HERE = Path(__file__).parent
WORDS = {
    "en_topic": {
        "acq": "acquisitions",
        "crude": "oil",
        "earn": "earnings",
        "grain": "grain",
        "interest": "interest",
        "money-fx": "currency",
        "ship": "shipping",
        "trade": "trade",
    },
    "en_author": {"HillaryClinton": "Clinton", "realDonaldTrump": "Trump"},
    "en_group": {
        "alt.atheism": "atheism",
        "comp.graphics": "graphics",
        "comp.os.ms-windows.misc": "Windows",
        "comp.sys.ibm.pc.hardware": "PC",
        "comp.sys.mac.hardware": "Mac",
        "comp.windows.x": "X",
        "misc.forsale": "sale",
        "rec.autos": "cars",
        "rec.motorcycles": "motorcycles",
        "rec.sport.baseball": "baseball",
        "rec.sport.hockey": "hockey",
        "sci.crypt": "encryption",
        "sci.electronics": "electronics",
        "sci.med": "medicine",
        "sci.space": "space",
        "soc.religion.christian": "Christianity",
        "talk.politics.guns": "guns",
        "talk.politics.mideast": "Israel",
        "talk.politics.misc": "politics",
        "talk.religion.misc": "religion",
    },
}
"""What the model has to say for each label; one token each."""
TINY = HERE.parent / "prompt_families/tiny.csv"
TINY_WORDS = {"en_topic": {"earn": "earnings", "acq": "acquisitions"}, "en_author": {"ann": "Ann", "bob": "Bob"}}


def words_of(words: Mapping[str, Mapping[str, str]]) -> str:
    """As an override."""
    told = (f"{task}: {{{', '.join(f'{label}: {word}' for label, word in of.items())}}}" for task, of in words.items())
    return f"head.words={{{', '.join(told)}}}"


WHOLE = (f"task=[en_topic,en_author,{HERE / 'en_group.yaml'}]", words_of(WORDS))
QUICK = (  # two tasks on made-up lines
    *(f"tasks.{name}.source='{TINY}'" for name in TINY_WORDS),
    *(f"tasks.{name}.text=Text" for name in TINY_WORDS),
    *(f"tasks.{name}.split.fractions=[0.8,0.1,0.1]" for name in TINY_WORDS),
    *(words_of(TINY_WORDS), "data.max_length=32"),
)
ALONE = ("rows", "score", "uncalibrated", "format_failures")
"""What a row without a history has."""
LEFT_OUT = ("history", "task", "turns", "metric")
Cells = dict[tuple[str, ...], float]


def model(words: Sequence[str], out: Path) -> tuple[str, Loaded]:
    """The run of the model as it is, and what is in it; trained only if the record in `out` has it not."""
    uri = record(out)
    folder = f"hydra.run.dir={(out / 'run').resolve()}"
    mtl.train([f"experiment={HERE / 'zero_shot.yaml'}", *words, f"tracking.uri={uri}", folder])
    runs = mtl.runs("context_switch", uri)
    run = str(runs[runs["status"] == "FINISHED"]["run_id"].iloc[0])
    return run, load_model(checkpoint_of(uri, run))


def record(out: Path) -> str:
    """Where the run is recorded."""
    return f"sqlite:///{(out / 'mlflow.db').resolve()}"


def conversations(run: str, quick: bool, out: Path) -> list[dict[str, str]]:
    """The lines of `mtl context-switch`, which are kept as `lines.csv`."""
    how = ("--turns", "1", "--rows", "2") if quick else ("--turns", "1,4", "--rows", "48")
    lines = out / "lines.csv"
    try:
        command(["context-switch", run, *how, "--uri", record(out), "--output", str(lines), "--no-record"])
    except SystemExit as ended:
        if ended.code:
            raise
    return list(csv.DictReader(lines.read_text(encoding="utf-8").splitlines()))


def of_line(line: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Its cells; the ends of an interval are columns of their own."""
    case = f"after {line['turns']} of {line['history']}" if line["history"] else "alone"
    for column, value in line.items():
        if value and column not in LEFT_OUT and (line["history"] or column in ALONE):
            yield (line["task"], case, column.replace("format_", "")), float(value)


def calibration(loaded: Loaded) -> Cells:
    """Every test row alone, with contextual calibration and without: accuracy, and nats of the true label among the
    labels; what calibration changes, paired over rows, with 95 % bootstrap intervals.
    """
    cells: Cells = {}
    for name, spec in make_specs(loaded.payload["config"]).items():
        rows = spec.load()
        chosen = np.sort(rows.rows["test"])
        length = loaded.payload["config"]["data"]["max_length"]
        found = score(loaded.model, name, told(rows, chosen, loaded.prompt, loaded.vocabulary, length))
        true = torch.tensor([int(rows.targets[row] or 0) for row in chosen])
        cells |= compared(name, found, true)
    return cells


def compared(name: str, found: Scored, true: Tensor) -> Cells:
    """The cells of a task's rows."""
    cells: Cells = {(name, "majority", "score"): float(true.bincount().max()) / len(true)}
    hits, nats = {}, {}
    for case, scores in (("as it is", found.said), ("calibrated", found.scores)):
        hits[case] = (scores.argmax(1) == true).double()
        nats[case] = F.cross_entropy(scores.double(), true, reduction="none")  # over the labels alone
        cells |= {(name, case, "score"): float(hits[case].mean()), (name, case, "nats"): float(nats[case].mean())}
        cells[name, case, "rows"] = len(true)
    for column, values in (("score", hits), ("nats", nats)):
        change = estimate((values["calibrated"] - values["as it is"]).tolist())
        cells |= {(name, "calibration changes", f"{column}{end}"): value for end, value in ends(change)}
    return cells


def ends(found: Estimate) -> list[tuple[str, float]]:
    """Mean and interval, as far as they are known."""
    named = zip(("", "_low", "_high"), found[:3], strict=True)
    return [(end, value) for end, value in named if not math.isnan(value)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, write `measured.csv` and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rows of two tasks of made-up lines")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record and what is measured")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    run, loaded = model(QUICK if options.quick else WHOLE, options.out)
    lines = conversations(run, options.quick, options.out)
    cells = dict(cell for line in lines for cell in of_line(line)) | calibration(loaded)
    write_measured(options.out / "measured.csv", ("task", "case"), cells)
    draw(lines, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
