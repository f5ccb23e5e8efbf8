"""Is plain scalarisation, tuned as carefully, really beaten? `mtl reproduce unitary`."""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mtl
from mtl.errors import MtlError
from mtl.functional.holm import holm
from mtl.reporting.measured import over_seeds, write_measured
from mtl.reporting.table import Cell

from .picture import draw
from .problems import EXTRA, PROBLEMS, QUICK, Protocol, Setting

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[tuple[str, ...], float | Cell]
LEVEL = 0.05
COMMON = (
    *("batch_size=64", "optimizer=adamw", "gradients=features", "trainer.progress=false"),
    *("tracking.model=false", "tracking.system_every=0", "tracking.every=50"),
)


def learn(problem: str, protocol: Protocol, out: Path) -> "pd.DataFrame":
    """The runs of a problem: every setting with seed 0, then each weighting's best on validation with the other seeds.

    What the record in `out` has already is not trained again.
    """
    tried = [w for w in protocol.weightings if w not in PROBLEMS[problem].left_out]
    for setting in protocol.settings:
        train(problem, tried, setting, (0,), protocol, out)
    chosen = choose(read(problem, out), protocol.settings)
    for setting in protocol.settings:
        train(problem, [w for w in tried if chosen.get(w) == setting], setting, protocol.seeds, protocol, out)
    runs = read(problem, out)
    return runs[[chosen.get(w) == s for w, s in zip(runs["tags.mtl.weighting"], settings_of(runs), strict=True)]]


def train(
    problem: str, weightings: Iterable[str], setting: Setting, seeds: Sequence[int], protocol: Protocol, out: Path
) -> None:
    """One sweep, and one more for weightings with options of their own; a run that fails counts as missing."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for weighting in weightings:
        groups[EXTRA.get(weighting, ())].append(weighting)
    for extra, names in groups.items():
        stage = f"{'-'.join(map(str, setting))}-{'search' if seeds == (0,) else 'final'}-{names[0]}"
        words = [
            *(*PROBLEMS[problem].words, *COMMON, *setting.words, *extra, *protocol.words),
            *(f"steps={protocol.steps}", f"eval_every={protocol.steps}"),
            *(f"weighting={','.join(names)}", f"seed={','.join(map(str, seeds))}"),
            *(f"tracking.uri={record(problem, out)}", f"tracking.experiment=unitary_{problem}"),
            f"hydra.sweep.dir={(out / 'runs' / problem / stage).resolve()}",
        ]
        try:
            mtl.train(words, sweep=True)
        except Exception as error:  # of the first job that failed, when all have ended
            print(f"unitary: {problem}, {stage}: {error}", file=sys.stderr, flush=True)


def record(problem: str, out: Path) -> str:
    """Where the runs of a problem are recorded."""
    return f"sqlite:///{(out / f'{problem}.db').resolve()}"


def read(problem: str, out: Path) -> "pd.DataFrame":
    """The runs of a problem that came to their end."""
    runs = mtl.runs(f"unitary_{problem}", record(problem, out))
    return runs[runs["status"] == "FINISHED"]


def settings_of(runs: "pd.DataFrame") -> list[Setting]:
    """The setting of each run."""
    fields = ("params.optimizer.lr", "params.optimizer.weight_decay", "params.trunk.dropout")
    return [Setting(*map(float, values)) for values in zip(*(runs[field] for field in fields), strict=True)]


def choose(runs: "pd.DataFrame", settings: Sequence[Setting]) -> dict[str, Setting]:
    """The setting of each weighting with the best mean of the tasks' validation scores, of seed 0; ties: the first."""
    best: dict[str, tuple[float, int]] = {}
    own = runs[runs["tags.mtl.seed"] == "0"]
    scores = zip(own["tags.mtl.weighting"], own["metrics.val/score"], settings_of(own), strict=True)
    for weighting, score, setting in scores:
        if setting in settings and math.isfinite(score):
            best[weighting] = max(best.get(weighting, (-math.inf, 0)), (score, -settings.index(setting)))
    return {weighting: settings[-place] for weighting, (_, place) in best.items()}


def measure(problem: str, runs: "pd.DataFrame", protocol: Protocol) -> Cells:
    """The cells of a problem.

    `first` and `second`: the tasks' primary metrics on test; `score`: their mean; `minus_equal`: its paired difference
    from equal weights, seed by seed; `half_width`: of that difference's 95 % t interval; `p_holm`: of its paired t
    test, corrected over the weightings of the problem; `against_equal`: 1 (better) or -1 where that is below 0.05;
    `better` and `worse` of the row `all`: how many of them there are.
    """
    cells: Cells = {}
    values, settings = scores(problem, runs), dict(zip(runs["tags.mtl.weighting"], settings_of(runs), strict=True))
    found = [name for name in protocol.weightings if name in values]
    tests = {name: paired(values[name]["score"], values["equal"]["score"]) for name in found if name != "equal"}
    corrected = dict(zip(tests, holm([test[2] for test in tests.values()]), strict=True))
    for name in found:
        row = (problem, name)
        cells |= {(*row, column): over_seeds(own) for column, own in values[name].items()}
        cells |= {(*row, field): value for field, value in settings[name]._asdict().items()}
        if name in tests:
            difference, width, _ = tests[name]
            sure = math.copysign(1.0, difference.mean or 0.0) if corrected[name] < LEVEL else 0.0
            cells |= {(*row, "minus_equal"): difference, (*row, "half_width"): width}
            cells |= {(*row, "p_holm"): corrected[name], (*row, "against_equal"): sure}
    signs = [cells[problem, name, "against_equal"] for name in tests]
    cells |= {(problem, "all", "better"): signs.count(1.0), (problem, "all", "worse"): signs.count(-1.0)}
    return cells


def scores(problem: str, runs: "pd.DataFrame") -> dict[str, dict[str, dict[int, float]]]:
    """Weighting -> column -> seed -> value, of the final runs."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs.to_dict("records"):
        seed = int(run["tags.mtl.seed"])
        if seed == 0:
            continue
        each = [run[f"metrics.test/{t}/{run[f'tags.mtl.primary.{t}']}"] for t in PROBLEMS[problem].tasks]
        columns = dict(zip(("first", "second"), each, strict=True)) | {"score": sum(each) / 2}
        for column, value in (columns | {"step_ms": run["metrics.time/step_ms"]}).items():
            found[run["tags.mtl.weighting"]][column][seed] = value
    return found


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[Cell, float, float]:
    """Mean difference over the seeds that both have, half of its 95 % t interval, and the p of the paired t test."""
    from scipy import stats

    gaps = over_seeds({seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())})
    if not gaps.error:
        return gaps, 0.0, 1.0 if not gaps.mean else math.nan
    width = float(stats.t.ppf(0.975, gaps.n - 1)) * gaps.error
    return gaps, width, float(2 * stats.t.sf(abs(gaps.mean or 0.0) / gaps.error, gaps.n - 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, write `measured.csv` and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two weightings, five steps, MultiMNIST alone")
    parser.add_argument("--out", type=Path, required=True, help="folder for records and what is measured")
    parser.add_argument("--only", choices=list(PROBLEMS), help="train this one and measure nothing yet")
    options = parser.parse_args(arguments)
    protocol = QUICK if options.quick else Protocol()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only:
        learn(options.only, protocol, options.out)
        return 0
    cells: Cells = {}
    for problem in protocol.problems:
        runs = learn(problem, protocol, options.out)
        if runs.empty:
            raise MtlError(f"unitary: no run of {problem} came to its end")
        cells |= measure(problem, runs, protocol)
    write_measured(options.out / "measured.csv", ("problem", "weighting"), cells)
    draw(cells, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
