"""The live summary of a sweep on a terminal: what is done, runs, failed and why, the best so far, the time left."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mtl.cli import notes

OUTPUT = "output.log"
"""Where a job in a process of its own prints to, in its folder."""
LINES = 6
"""Running jobs that are shown."""


@contextlib.contextmanager
def live(
    sweep: Path, total: Callable[[], int | None], console: Console | None = None, every: float = 0.5
) -> Generator[None, None, None]:
    """Draw until left. The jobs' endings scroll by above it.

    Args:
        sweep: folder with the notes.
        total: number of jobs.
        console: where to; standard error by default.
        every: seconds between two looks at the notes.
    """
    console = console or Console(stderr=True)
    ended, began, shown = threading.Event(), time.time(), 0
    # where standard output is a file, what is printed belongs there and can't disturb the terminal
    display = Live(console=console, transient=True, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def draw() -> None:
        nonlocal shown
        found = notes.read(sweep)
        for note in found[shown:]:
            apart = (sweep / note.job / OUTPUT).exists()  # else the job itself said how it ended
            if note.state in (notes.PRUNED, notes.BEFORE) or (apart and note.state in (notes.DONE, notes.FAILED)):
                told = f": {note.why}" if note.why else _score(note)
                console.print(f"job {note.job} {note.state}: {note.name}{told}", markup=False, highlight=False)
        shown = len(found)
        display.update(Group(*map(Text, picture(found, total(), began, time.time()))), refresh=True)

    def work() -> None:
        while not ended.wait(every):
            draw()

    thread = threading.Thread(target=work, name="mtl-live", daemon=True)
    with display:
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            draw()


def picture(found: list[notes.Note], total: int | None, began: float, now: float) -> list[str]:
    """The lines of the summary.

    Args:
        found: all notes.
        total: number of jobs, where it is known.
        began: when the sweep did, in seconds.
        now: in seconds.
    """
    last = notes.latest(found)
    by_state = {state: [note for note in last.values() if note.state == state] for state in {*_ORDER, notes.RUNNING}}
    ended = sum(len(by_state[state]) for state in _ORDER)
    counts = [f"{len(by_state[state])} {state}" for state in (*_ORDER, notes.RUNNING) if by_state[state]]
    lines = [f"{ended} of {total if total is not None else '?'} jobs: {', '.join(counts) or 'none yet'}"]
    trained = sum(len(by_state[state]) for state in (notes.DONE, notes.PRUNED, notes.FAILED))
    if total is not None and trained:
        left = (total - ended) * (now - began) / trained
        lines[0] += f"; about {timedelta(seconds=round(left))} left"
    scored = [note for note in by_state[notes.DONE] + by_state[notes.KNOWN] if "val/score" in note.values]
    if scored:
        best = max(scored, key=lambda note: note.values["val/score"])
        lines.append(f"best on validation: {best.name}{_score(best)}")
    starts = {note.job: note.at for note in reversed(found) if note.state == notes.RUNNING}
    lines += [
        f"  job {note.job}: {note.name}, {now - starts[note.job]:.0f} s{_score(note)} {note.why}".rstrip()
        for note in by_state[notes.RUNNING][:LINES]
    ]
    return lines


_ORDER = (notes.DONE, notes.KNOWN, notes.PRUNED, notes.FAILED, notes.BEFORE)


def _score(note: notes.Note) -> str:
    return f", val/score {note.values['val/score']:.4f}" if "val/score" in note.values else ""
