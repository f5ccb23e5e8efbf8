"""`mtl reproduce`: run what a study lacks, build its table, and hold it against what is expected, cell by cell."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli import parents
from mtl.cli import study as studies
from mtl.cli.study import Study
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.reporting.table import Table
    from mtl.reporting.verdict import Verdict

COLOURS = {"inside": "green", "outside": "red", "missing": "yellow"}
EXAMPLE = """examples:
  mtl reproduce --list
  mtl reproduce fronts --quick
  mtl reproduce seed_article data.root=FOLDER       # what follows the name goes to `mtl train`
  mtl reproduce ./my_studies/mine

exit code: 0 if every expected cell was measured (outside is a finding), 1 if one is missing, or outside with --strict
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "reproduce",
        help="run a study and hold its table against what is expected",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.store()],
    )
    parser.add_argument("name", nargs="?", help="a study of --list, or the path of a study's folder (with a slash)")
    parser.add_argument("overrides", nargs="*", help="for the sweeps of the study, as `mtl train` takes them")
    parser.add_argument("--list", action="store_true", help="every study with what it shows, its cost and its state")
    parser.add_argument("--quick", action="store_true", help="a small version of seconds, in a record of its own")
    parser.add_argument("--strict", action="store_true", help="a cell that is outside makes the exit code 1")
    parser.add_argument("--again", action="store_true", help="repeat a script that has its results already")
    parser.add_argument("--studies", type=Path, help="folder of the studies (default: those that mtl brings)")
    parser.add_argument(
        "--output", dest="out", type=Path, default=Path("reproduced"), help="folder to write to (default: reproduced)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Reproduce one study, or list them."""
    from mtl.tracking.store import tracking_uri

    folder = args.studies or studies.studies_dir()
    if not folder.is_dir():
        raise MtlError(f"studies: there is no folder {folder}")
    uri = tracking_uri(args.uri)
    if args.list:
        return show_list(folder, args.out, uri)
    if args.name is None:
        raise MtlError(f"study: name one of {', '.join(studies.find(folder)) or 'none'} (mtl reproduce --list)")
    study = studies.load(args.name, folder)
    if args.overrides and not study.sweeps:
        raise MtlError(f"{study.name} is a script and takes no overrides. Found {args.overrides[0]}")
    where = args.out / study.name / ("quick" if args.quick else "")
    expected = _expected(study, args.quick)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MtlError(f"out: {where} cannot be made: {error.strerror}") from error
    if study.sweeps:
        table, whole = run_sweeps(study, where, uri, args.quick, args.overrides)
    else:
        table, whole = run_script(study, where, args.quick, args.again), True
    return conclude(study, table, expected, whole=whole, args=args, where=where)


def run_sweeps(study: Study, where: Path, uri: str, quick: bool, words: Sequence[str]) -> "tuple[Table, bool]":
    """Train what is missing; the table, and whether every run has ended well. Quick ones have their own record."""
    from mtl.cli.train import train
    from mtl.reporting.cells import summarise
    from mtl.tracking.runs import read_runs

    uri = f"sqlite:///{(where / 'mlflow.db').resolve()}" if quick else uri
    whole = True
    for file, small in study.sweeps.items():
        given = [f"experiment={study.folder / file}", *(small if quick else ()), *words, f"tracking.uri={uri}"]
        apart = [f"hydra.sweep.dir={where.resolve() / 'runs' / Path(file).stem}"] if quick else []
        whole = train(["-m", *given, *apart]) == 0 and whole
    table = study.table
    runs = read_runs(uri, study.experiment)
    return summarise(runs, table.get("rows", ["prompt", "weighting"]), table.get("columns")), whole


def run_script(study: Study, where: Path, quick: bool, again: bool) -> "Table":
    """Its results, measured now unless this version of the script has left them before."""
    from mtl.reporting.measured import read_measured

    work = where / f"script-{study.key(quick)}"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    if (work / "measured.csv").exists():
        print(f"{study.name}: in {work} already (--again repeats it)", flush=True)
    else:
        package = f"{study.name}.{Path(studies.SCRIPT).stem}"
        command = [sys.executable, "-m", package, "--out", str(work.resolve()), *(["--quick"] if quick else [])]
        source = Path(studies.mtl.__file__).parents[1]
        paths = [str(study.folder.parent), str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "Agg"}
        done = subprocess.run(command, env=environment, check=False)
        if done.returncode or not (work / "measured.csv").exists():
            raise MtlError(f"{study.name}: {studies.SCRIPT} ended with code {done.returncode} and no measured.csv")
    for file in sorted(work.iterdir()):
        if file.suffix in (".png", ".svg", ".pdf"):
            shutil.copy(file, where)
    return read_measured(work / "measured.csv", study.table.get("better"), study.table.get("columns"))


def conclude(study: Study, table: "Table", expected: Any, *, whole: bool, args: argparse.Namespace, where: Path) -> int:
    """Write table and verdict, show the verdict, and say it in one last line."""
    from mtl.reporting.formats import render
    from mtl.reporting.verdict import count_line, counts, judge, to_markdown

    cells, name, comparable = expected
    looks = {field: study.table[field] for field in ("digits", "percent") if field in study.table}
    (where / "measured.csv").write_text(render(table, "csv"), encoding="utf-8")
    (where / "table.md").write_text(render(table, "markdown", **looks), encoding="utf-8")
    # a quick run without expectations of its own still finds columns that the table does not have
    verdicts = judge(table, cells, name, whole=whole and comparable)
    remarks = [f"Measured on {date.today()}. {study.shows}"]
    if args.overrides:
        remarks.append(f"Run with {' '.join(args.overrides)}")
    if args.quick:
        remarks.append("Quick: a small version" + (", held against numbers of its own." if comparable else "."))
    if not comparable:
        verdicts, line = [], "quick: not comparable"
        (where / "verdict.md").write_text(f"# {study.name}\n\n{line}\n\n" + "\n".join(remarks) + "\n", encoding="utf-8")
    else:
        line = count_line(verdicts)
        page = to_markdown(verdicts, study.name + (", quick" if args.quick else ""), remarks)
        (where / "verdict.md").write_text(page, encoding="utf-8")
        show(verdicts, study.name)
    found = counts(verdicts)
    state = {"measured": str(date.today()), "key": study.key(args.quick), **found}
    (where / "state.json").write_text(json.dumps(state), encoding="utf-8")
    print(f"table, verdict and cells in {where}")
    print(line)
    return int(bool(found["missing"] or not whole or (args.strict and found["outside"])))


def show(verdicts: "Sequence[Verdict]", title: str) -> None:
    """The verdict in colours, without the sources; what is not inside stands at the end."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    from mtl.reporting.verdict import WORDS, numbers

    grid = Grid("", title=title)
    for name in ("row", "column", "expected", "measured"):
        grid.add_column(name, overflow="fold")
    for verdict in sorted(verdicts, key=lambda verdict: WORDS.index(verdict.word)):
        cell, colour = verdict.expected, COLOURS[verdict.word]
        parts = (cell.row, cell.column, *numbers(verdict))
        grid.add_row(Text(verdict.word, colour), *map(Text, parts))
    Console().print(grid)


def show_list(folder: Path, out: Path, uri: str) -> int:
    """A line a study; one with broken files says so in its place."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid("study", "what it shows", "minutes", "state", title=f"studies in {folder}")
    for name in studies.find(folder):
        try:
            study = studies.load(name, folder)
            parts = (name, study.shows, f"{study.minutes:g}", state_of(study, out, uri))
        except MtlError as error:
            parts = (name, "", "", f"broken: {error}")
        grid.add_row(*map(Text, parts))
    Console().print(grid)
    return 0


def state_of(study: Study, out: Path, uri: str) -> str:
    """Measured with date and counts, partly run, or not run; runs of the record are counted, not compared."""
    where = out / study.name
    try:
        state = json.loads((where / "state.json").read_text(encoding="utf-8"))
        counted = f"measured {state['measured']}: " + ", ".join(f"{state[word]} {word}" for word in COLOURS)
        return counted if study.sweeps or state["key"] == study.key(quick=False) else f"{counted}; script has changed"
    except (OSError, ValueError, KeyError):
        pass
    if study.sweeps:
        total, done = studies.planned(study), min(_finished(study, uri), studies.planned(study))
        return f"{done}/{total} runs" if done else f"not run ({total} runs)"
    return "begun" if (where / f"script-{study.key(quick=False)}").exists() else "not run"


def _finished(study: Study, uri: str) -> int:
    """Finished runs of its experiment."""
    from mtl.tracking.store import database

    path = database(uri)
    if path is not None and not path.exists():
        return 0
    from mtl.tracking.runs import read_runs

    try:
        return int((read_runs(uri, study.experiment)["status"] == "FINISHED").sum())
    except MtlError:
        return 0


def _expected(study: Study, quick: bool) -> Any:
    """The expected cells, the name of their file, and whether they are of this version: read before anything runs."""
    from mtl.reporting.expected import read_expected

    own = study.folder / "expected_quick.csv"
    path = own if quick and own.is_file() else study.folder / "expected.csv"
    return read_expected(path), f"{study.name}/{path.name}", not quick or path == own
