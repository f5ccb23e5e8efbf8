"""The picture: accuracy alone, after own turns and after turns of another task; what the switch costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ENDS = ("", "_low", "_high")


def draw(lines: Sequence[Mapping[str, str]], folder: Path) -> None:
    """`context_switch.png`: a column a task. Above: accuracy by the most probable words. Below, with intervals: the
    cost of the switch, filled, and the part of it that is which label is said, hollow.
    """
    from matplotlib import pyplot as plt

    tasks = [line["task"] for line in lines if not line["history"]]
    turns = sorted({int(line["turns"]) for line in lines if line["history"]})
    colours = dict(zip(tasks, plt.get_cmap("tab10").colors, strict=False))
    figure, panels = plt.subplots(
        2, len(tasks), figsize=(4 * len(tasks), 6), sharex=True, sharey="row", layout="constrained"
    )
    at = {(line["history"], line["task"], int(line["turns"])): line for line in lines}
    for column, task in enumerate(tasks):
        above, below = panels[:, column]
        alone = 100 * float(at["", task, 0]["uncalibrated"])
        for number, history in enumerate(tasks):
            own = history == task
            found = [at[history, task, turn] for turn in turns]
            label = "its own" if own else history
            scores = [alone, *(100 * float(line["uncalibrated"]) for line in found)]
            above.plot([0, *turns], scores, "-o" if own else "--s", color=colours[history], label=label)
            for shift, cost in enumerate(() if own else ("switch", "choice")):
                mean, low, high = (np.array([float(line[f"{cost}{end}"] or "nan") for line in found]) for end in ENDS)
                error = np.maximum(0, [mean - low, high - mean])
                places = np.array(turns) + 0.2 * (number - 1) + 0.08 * shift
                face = "white" if shift else colours[history]
                below.errorbar(places, mean, error, fmt="s", color=colours[history], mfc=face, capsize=3)
        above.set_title(task)
        above.legend(title="turns of", fontsize=8)
        below.axhline(0, color="0.6", linewidth=0.8)
        below.set_xlabel("turns before the row")
        below.set_xticks([0, *turns])
    panels[0, 0].set_ylabel("accuracy (%)")
    panels[1, 0].set_ylabel("switch cost (nats)")
    figure.savefig(folder / "context_switch.png", dpi=110)
    plt.close(figure)
