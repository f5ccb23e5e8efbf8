"""The rows that the probe looks at: a few of each task's validation split, the same all through the run."""

from collections.abc import Mapping

import numpy as np

from mtl.data.batch import Announced


def probe_rows(tasks: Mapping[str, Announced], rows: int, seed: int) -> dict[str, np.ndarray]:
    """`rows` validation rows of each task, or all where there are fewer. Tasks with the same rows get the same.

    Never training rows, whose loss a step lowers by itself, and never test rows. They stay part of the validation
    split: the probe steers nothing, so what is selected there is selected as without it.
    """
    found = {}
    for name, task in tasks.items():
        there = np.sort(task.labelled.rows["val"])
        found[name] = np.sort(np.random.default_rng(seed).permutation(there)[:rows])
    return found
