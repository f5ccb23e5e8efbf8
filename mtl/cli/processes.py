"""Several processes for one run: this one keeps the record, the others train their share of the rows beside it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import distributed

from mtl.cli.build import Run
from mtl.errors import ASKED_WRONGLY, MtlError
from mtl.strategies.switching.order.curriculum import Curriculum

Config = Mapping[str, Any]
HERE = "127.0.0.1"
LEAVE = 60.0
"""Seconds that a process may take to leave once the run is over."""
start = subprocess.Popen


class Place(LightningEnvironment):
    """Rank of this process among those of its run. Nothing goes through the environment, which a sweep shares."""

    creates_processes_externally = True

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    def local_rank(self) -> int:
        """All processes are on this machine."""
        return self._rank


def strategy_of(devices: int, rank: int) -> Strategy | str:
    """Lightning's strategy for a process of the run."""
    if devices == 1:
        return "auto"
    return DDPStrategy(cluster_environment=Place(rank), find_unused_parameters=True)


def check_processes(config: Config, run: Run) -> None:
    """What several processes would each measure for themselves, and plan other steps by; MtlError names it."""
    devices = config["trainer"]["devices"]
    if devices == 1:
        return
    unmeasured = isinstance(run.plan.order, Curriculum) and run.plan.order.places is None
    measured = {
        "probe=switching": "_target_" in config["probe"],
        "an adaptive rate": run.plan.rate.adaptive,
        "a curriculum without `places`": unmeasured,
        f"budget.{run.meter.budget.unit}": run.meter.budget.unit in ("seconds", "flops"),
    }
    for what, found in measured.items():
        if found:
            raise MtlError(f"trainer.devices should be 1 for {what}. Found {devices}")


@contextlib.contextmanager
def company(config: Config, folder: Path) -> Generator[None, None, None]:
    """The other processes of a run, at work; they end with the run, however it ends.

    Each is a fresh `python -m mtl.cli.beside`, so that no thread, lock or device is inherited. It meets this one at a
    port that the system chose, and ends when its standard input closes: also when this process is killed.

    Args:
        config: of the run, resolved.
        folder: of the run; what a process says is in `process_<rank>.log` while it works, and after it failed.
    """
    devices = config["trainer"]["devices"]
    if devices == 1:
        yield
        return
    store = distributed.TCPStore(HERE, 0, is_master=True, wait_for_workers=False)
    told = {"config": config, "folder": str(folder), "port": store.port}
    with contextlib.ExitStack() as ended:
        others = [ended.enter_context(_process(folder, told | {"rank": rank})) for rank in range(1, devices)]
        try:
            _wait_until_ready(store, others, folder)
            join(store, 0, devices)
            yield
        except BaseException as error:
            failed = _failed(others) if isinstance(error, RuntimeError) else None
            for process in others:
                process.kill()
            if failed is not None:  # the error here only says that the connection broke
                raise _error(*failed, folder) from error
            raise
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()
        for rank, process in enumerate(others, 1):
            if code := process.wait(LEAVE):
                raise _error(rank, code, folder)
            (folder / log_of(rank)).unlink(missing_ok=True)


def join(store: distributed.Store, rank: int, devices: int) -> None:
    """Torch's process group of the run; every process waits here for the others."""
    distributed.init_process_group(store=store, rank=rank, world_size=devices)


def meet(port: int, rank: int, devices: int) -> None:
    """Say that this process is ready, and join the others."""
    store = distributed.TCPStore(HERE, port, is_master=False, timeout=timedelta(minutes=5))
    store.set(f"ready {rank}", "")
    join(store, rank, devices)


def log_of(rank: int) -> str:
    """The file of what a process says."""
    return f"process_{rank}.log"


@contextlib.contextmanager
def _process(folder: Path, told: Mapping[str, Any]) -> Generator[subprocess.Popen[bytes], None, None]:
    """One of the others. It has a session of its own: Ctrl-C is for this process, which ends the others."""
    paths = os.pathsep.join(path for path in sys.path if path)
    with (
        (folder / log_of(told["rank"])).open("w", encoding="utf-8") as log,
        start(
            [sys.executable, "-m", "mtl.cli.beside"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: whoever waits for it will see that
            process.stdin.write(json.dumps(told).encode() + b"\n")
        yield process


def _wait_until_ready(store: distributed.Store, others: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """Nobody waits in the group for a process that could not begin."""
    while not store.check([f"ready {rank}" for rank in range(1, len(others) + 1)]):
        if (failed := _failed(others, 0)) is not None:
            raise MtlError(_said(*failed, folder))
        time.sleep(0.05)


def _failed(others: Sequence[subprocess.Popen[bytes]], patience: float = 2.0) -> tuple[int, int] | None:
    """Rank and code of a process that ended with an error by itself, within some seconds."""
    until = time.monotonic() + patience
    while True:
        for rank, process in enumerate(others, 1):
            if code := process.poll():
                return rank, code
        if time.monotonic() >= until:
            return None
        time.sleep(0.05)


def _error(rank: int, code: int, folder: Path) -> Exception:
    """What a process that failed ends the run with: an MtlError where it ended with one itself."""
    said = _said(rank, code, folder)
    return MtlError(said) if code == ASKED_WRONGLY else RuntimeError(said)


def _said(rank: int, code: int, folder: Path) -> str:
    """What a process that failed said last, and where the rest is."""
    log = folder / log_of(rank)
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    return f"process {rank} of the run ended with code {code} and said: {last} (all of it is in {log})"
