"""What a sweep costs beside its training: skipping what is finished, and the jobs of the basic launcher."""

import argparse
import contextlib
import io
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl

from mtl.cli.main import main
from mtl.tracking.keys import standings
from mtl.tracking.store import open_store

SMALL = ("trainer.progress=false", "tracking.system_every=0", "data.max_length=16", "task=[zh_pos]")


def mtl(*words: str) -> tuple[float, float, str]:
    """Seconds on the wall and of the processor, and what was printed."""
    out = io.StringIO()
    wall, processor = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(["train", *words, *SMALL])
    return time.perf_counter() - wall, time.process_time() - processor, out.getvalue()


def copy_runs(path: Path, keys: list[str], experiment: str) -> None:
    """Rows of one finished run once for each key, as if all had been trained."""
    with contextlib.closing(sqlite3.connect(path)) as store:
        (run,) = store.execute(
            "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) WHERE key = 'mtl.key' AND status = 'FINISHED' "
            "AND experiment_id = ? LIMIT 1",
            (int(experiment),),
        ).fetchone()
        for table in ("runs", "tags", "params", "latest_metrics"):
            columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
            rows = store.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,)).fetchall()
            names = columns.index("run_uuid")
            made = []
            for key in keys:
                for row in rows:
                    values = list(row)
                    values[names] = uuid.uuid5(uuid.NAMESPACE_OID, key).hex
                    if table == "tags" and values[columns.index("key")] == "mtl.key":
                        values[columns.index("value")] = key
                    made.append(values)
            store.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})", made)
        store.commit()


def keys_of(words: list[str], count: int) -> list[str]:
    """Keys of the jobs of a sweep, by Hydra's own composition of one of them and the planner's of all."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from mtl.cli.conf import conf_dir
    from mtl.cli.grid import Planner, expand

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().hydra.config_loader  # ty: ignore[missing-union-attribute]
        planner = Planner(loader, loader.load_configuration("config", [], RunMode.MULTIRUN))
        return [planner(job)[1] for job in expand([*words, *SMALL])][:count]


def skipping(count: int, others: int) -> None:
    """Time of a sweep of which all is finished, among `others` further runs of the experiment; set-up counts too."""
    for axes in (f"seed=range({count})", f"prompt=none,keyword weighting=equal,famo,dwa,rlw seed=range({count // 8})"):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            mtl("steps=2", "seed=99999")
            store = open_store(f"sqlite:///{Path('mlflow.db').resolve()}", "mtl")
            keys = keys_of(axes.split(), count)
            copy_runs(Path("mlflow.db"), [*keys, *(f"{n:016d}" for n in range(others))], store.experiment_id)
            began = time.perf_counter()
            found = standings(store, keys)
            asked = time.perf_counter() - began
            wall, processor, out = mtl("-m", *axes.split())
            if len(found) != len(keys) or f"{len(keys)} in the record already" not in out:
                raise SystemExit(f"not all were skipped: {out[-500:]}")
            print(
                f"{len(keys)} finished among {others} others, {axes}: {wall:.1f} s, {1000 * wall / len(keys):.2f} ms "
                f"each (processor {1000 * processor / len(keys):.2f}); the query took {asked:.2f} s"
            )


def timed(method: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The method, which notes how long it took."""

    def run(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - began)

    return run


def jobs(count: int) -> None:
    """Time of a job of a basic multirun beside Lightning's fit and test; imports, tables and corpus are there."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        mtl("steps=2", "seed=99999")
        spent: list[float] = []
        with (
            mock.patch.object(pl.Trainer, "fit", timed(pl.Trainer.fit, spent)),
            mock.patch.object(pl.Trainer, "test", timed(pl.Trainer.test, spent)),
        ):
            wall, processor, _ = mtl("-m", f"seed=range({count})", "steps=20", "eval_every=20")
        print(
            f"{count} jobs of 20 steps: {wall / count:.2f} s a job (processor {processor / count:.2f}), of which "
            f"{sum(spent) / count:.2f} s fit and test: {(wall - sum(spent)) / count:.2f} s beside them"
        )


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="finished keys to skip; 0: none")
    parser.add_argument("--others", type=int, default=0, help="further runs in the experiment")
    parser.add_argument("--jobs", type=int, default=12, help="jobs to train; 0: none")
    args = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if args.count:
        skipping(args.count, args.others)
    if args.jobs:
        jobs(args.jobs)


if __name__ == "__main__":
    run()
