import math

import pandas as pd
import pytest


class Record:
    """Runs as `read_runs` gives them and their histories, written by hand: two tasks, accuracy (max) and rmse (min)."""

    def __init__(self):
        self.rows, self.points = [], []

    def add(self, news, length, *, seed=0, prompt="none", weighting="fixed", switching="joint", **more):
        scores = {task: value for task, value in (("news", news), ("length", length)) if value is not None}
        run_id = f"run{len(self.rows)}"
        row = {"run_id": run_id, "status": "FINISHED", "start_time": pd.Timestamp(len(self.rows), unit="s")}
        tags = {"prompt": prompt, "weighting": weighting, "switching": switching, "trunk": "lstm", "seed": str(seed)}
        row |= {f"tags.mtl.{name}": value for name, value in tags.items()}
        row["tags.mtl.tasks"] = ",".join(scores)
        for task, value in scores.items():
            metric, direction = ("rmse", "min") if task == "length" else ("accuracy", "max")
            row |= {f"tags.mtl.primary.{task}": metric, f"tags.mtl.direction.{task}": direction}
            row |= {f"tags.mtl.baseline_key.{task}": f"{task} {prompt} {seed}", f"metrics.test/{task}/{metric}": value}
        self.rows.append({**row, **more})
        return run_id

    def curve(self, run_id, metric, values, every=4):
        self.points += [(run_id, metric, every * (place + 1), value) for place, value in enumerate(values)]
        (row,) = [row for row in self.rows if row["run_id"] == run_id]
        row[f"metrics.{metric}"] = values[-1]

    @property
    def frame(self):
        return pd.DataFrame(self.rows)

    def history(self, run_ids, metrics):
        frame = pd.DataFrame(self.points, columns=["run_id", "metric", "step", "value"])
        return frame[frame["run_id"].isin(run_ids) & frame["metric"].isin(metrics)]


@pytest.fixture
def record():
    return Record()


@pytest.fixture
def curves(record):
    """Two weightings with three seeds: weights, losses, one cosine."""
    for weighting in ("uncertainty", "pcgrad"):
        for seed in range(3):
            run = record.add(0.5, 2.0, seed=seed, weighting=weighting)
            for task, shift in (("news", 0.0), ("length", 1.0)):
                record.curve(run, f"train/{task}/weight", [shift + seed, shift + 2 * seed**2])
                record.curve(run, f"train/{task}/loss", [3 + shift + seed, math.exp(-seed)])
                record.curve(run, f"val/{task}/loss", [4 + shift + seed], every=8)
            record.curve(run, "val/news/accuracy", [0.5], every=8)
            record.curve(run, "val/length/rmse", [2.5], every=8)
            if weighting == "pcgrad":
                record.curve(run, "gradient/news/length/cosine", [[-0.5, 0.1], [0.3, -0.1], [0.2, 0.6]][seed])
    return record


@pytest.fixture
def grid(record):
    """Two prompts by three weightings, three seeds, and single-task runs."""
    for prompt in ("none", "keyword"):
        for seed in range(3):
            for place, weighting in enumerate(("fixed", "pcgrad", "mgda")):
                gain = 0.1 * place + 0.01 * seed + (0.05 if prompt == "keyword" else 0)
                record.add(0.5 + gain, 4.0 + gain, seed=seed, prompt=prompt, weighting=weighting)
            record.add(0.45, None, seed=seed, prompt=prompt, switching="single")
            record.add(None, 3.0 + seed, seed=seed, prompt=prompt, switching="single")
    return record
