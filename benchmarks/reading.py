"""What it costs to read all runs of an experiment: `mtl.runs` and `mtl table` beside `mlflow.search_runs`."""

import argparse
import contextlib
import io
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow

import mtl
from mtl.cli.main import main as command
from mtl.tracking.store import open_store, quiet

METRICS, PARAMS = 20, 40
WEIGHTINGS = ("equal", "famo", "mgda", "pcgrad", "upgrad")


def make_store(path: Path, runs: int) -> str:
    """A store with finished runs of 20 metrics (their last values), 40 parameters and our tags, written in bulk."""
    store = open_store(f"sqlite:///{path}", "many")
    rng = random.Random(0)
    tasks = ("first", "second")
    names = [f"test/{task}/{metric}" for task in tasks for metric in ("accuracy", "macro_f1", "loss")]
    names += [f"val/{task}/metric_{number}" for task in tasks for number in range((METRICS - len(names)) // 2)]
    heads, tags, params, metrics = [], [], [], []
    for number in range(runs):
        run_id = f"{number:032x}"
        heads.append((run_id, f"run {number}", "FINISHED", 10**12 + number, "active", store.experiment_id, "me"))
        given = {"role": "run", "tasks": ",".join(tasks), "seed": number // 100, "switching": "joint", "trunk": "lstm"}
        given |= {"prompt": f"p{number % 100 // 5}", "weighting": WEIGHTINGS[number % 5], "selection": "last"}
        for task in tasks:
            given |= {f"primary.{task}": "accuracy", f"direction.{task}": "max", f"baseline_key.{task}": f"{number:x}"}
        tags += [(f"mtl.{name}", str(value), run_id) for name, value in given.items()]
        params += [(f"group.option_{option}", str(rng.randrange(100)), run_id) for option in range(PARAMS)]
        metrics += [(name, rng.random(), 10**12, 0, 100, run_id) for name in names]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        run_columns = "run_uuid, name, status, start_time, lifecycle_stage, experiment_id, user_id"
        connection.executemany(f"INSERT INTO runs ({run_columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", heads)
        connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
        connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
        metric_columns = "key, value, timestamp, is_nan, step, run_uuid"
        connection.executemany(f"INSERT INTO latest_metrics ({metric_columns}) VALUES (?, ?, ?, ?, ?, ?)", metrics)
    return store.uri


def search(uri: str) -> int:
    """MLflow's own way."""
    mlflow.set_tracking_uri(uri)
    return len(mlflow.search_runs(experiment_names=["many"], max_results=50_000))


def read(uri: str) -> int:
    return len(mtl.runs("many", uri))


def table(uri: str) -> int:
    """The whole command, but for the start of Python."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        command(["table", "many", "--uri", uri, "--rows", "prompt,weighting"])
    return len(printed.getvalue().splitlines())


ARMS: dict[str, Callable[[str], int]] = {"mlflow.search_runs": search, "mtl.runs": read, "mtl table": table}


def measure(uri: str, repeats: int) -> dict[str, list[float]]:
    """Processor seconds of every arm, interleaved in random order, after one call of each that is not counted."""
    rng = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in ARMS}
    for repeat in range(repeats + 1):
        for name in rng.sample(sorted(ARMS), len(ARMS)):
            began = time.process_time()
            ARMS[name](uri)
            if repeat:
                seconds[name].append(time.process_time() - began)
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="1000,3000,10000", help="sizes of the stores")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    quiet()
    print("| runs | " + " | ".join(f"{name} (s)" for name in ARMS) + " | runs / search | table / search |")
    print("|--:|" + "--:|" * (len(ARMS) + 2))
    for runs in map(int, args.runs.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            seconds = measure(make_store(Path(folder) / "mlflow.db", runs), args.repeats)
        theirs = seconds["mlflow.search_runs"]
        ratios = [
            statistics.median(a / b for a, b in zip(seconds[name], theirs, strict=True))
            for name in ("mtl.runs", "mtl table")
        ]
        cells = [f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})" for found in seconds.values()]
        print(f"| {runs:,} | " + " | ".join(cells) + " | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    print(json.dumps({"mlflow": mlflow.__version__, "sqlite": sqlite3.sqlite_version}))


if __name__ == "__main__":
    main()
