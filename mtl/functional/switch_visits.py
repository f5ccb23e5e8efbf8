"""When training was with which task: visits, spells, dwell, switch rate, exposure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Visit(NamedTuple):
    """Consecutive steps that train the same tasks: the steps after `start` and up to `end`; `tasks` are ascending."""

    start: int
    end: int
    tasks: tuple[int, ...]


def visits(steps: Iterable[Sequence[int]]) -> list[Visit]:
    """The visits of a run.

    Args:
        steps: the tasks (places in the run's list) that each step trains.
    """
    found: list[Visit] = []
    for step, tasks in enumerate(steps):
        present = tuple(sorted(tasks))
        if found and found[-1].tasks == present:
            found[-1] = found[-1]._replace(end=step + 1)
        else:
            found.append(Visit(step, step + 1, present))
    return found


def spells(visited: Sequence[Visit], task: int) -> list[int]:
    """Steps of each longest stretch that trains a task, whatever else is trained beside it."""
    found: list[int] = []
    end = -1
    for visit in visited:
        if task in visit.tasks:
            length = visit.end - visit.start
            if visit.start == end:
                found[-1] += length
            else:
                found.append(length)
            end = visit.end
    return found


def dwell(visited: Sequence[Visit], task: int) -> float:
    """Mean steps of a task's spells (ours); nan where it was never trained."""
    found = spells(visited, task)
    return sum(found) / len(found) if found else float("nan")


def switch_rate(visited: Sequence[Visit]) -> float:
    """Changes of the trained tasks in 1,000 steps (ours): 1000 (visits - 1) / (steps - 1); 0 for a single step."""
    steps = visited[-1].end - visited[0].start if visited else 0
    return 1000 * (len(visited) - 1) / (steps - 1) if steps > 1 else 0.0


def exposure(rows: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Each task's share of the rows seen over its share of a reference (ours): (r_i / sum r) / (n_i / sum n).

    Args:
        rows: that went through a step.
        reference: rows planned, or rows in the training split.
    """
    seen, there = sum(rows.values()), sum(reference[name] for name in rows)
    return {
        name: (count / seen) / (reference[name] / there) if seen and reference[name] else float("nan")
        for name, count in rows.items()
    }
