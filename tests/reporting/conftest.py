import pandas as pd
import pytest


class Runs:
    """Rows as `read_runs` gives them, written by hand."""

    def __init__(self):
        self.rows = []

    def add(self, scores, *, seed=0, prompt="none", weighting="fixed", switching="joint", status="FINISHED", **params):
        """One run; `scores` maps a task to its accuracy (or, for `length`, its rmse)."""
        row = {"run_id": f"run{len(self.rows)}", "status": status, "start_time": pd.Timestamp(len(self.rows), unit="s")}
        row |= {f"params.{name.replace('__', '.')}": str(value) for name, value in params.items()}
        tags = {"prompt": prompt, "weighting": weighting, "switching": switching, "trunk": "lstm", "role": "run"}
        row |= {f"tags.mtl.{name}": value for name, value in tags.items()}
        row |= {"tags.mtl.seed": str(seed), "tags.mtl.tasks": ",".join(scores)}
        for task, score in scores.items():
            metric, direction = ("rmse", "min") if task == "length" else ("accuracy", "max")
            row |= {f"tags.mtl.primary.{task}": metric, f"tags.mtl.direction.{task}": direction}
            row |= {f"tags.mtl.baseline_key.{task}": f"{task} {prompt} {seed}"}
            row |= {f"metrics.test/{task}/{metric}": score, f"metrics.val/{task}/loss": 1.0}
        self.rows.append(row)
        return row["run_id"]

    def alone(self, task, score, *, seed=0, prompt="none", **more):
        """A single-task run."""
        return self.add({task: score}, seed=seed, prompt=prompt, switching="single", **more)

    @property
    def frame(self):
        return pd.DataFrame(self.rows)


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def grid(runs):
    """Two prompts by two weightings, two tasks, three seeds, with their single-task runs."""
    for prompt in ("none", "keyword"):
        for seed in range(3):
            runs.alone("news", 0.5, seed=seed, prompt=prompt)
            runs.alone("length", 4.0, seed=seed, prompt=prompt)
            for shift, weighting in enumerate(("fixed", "pcgrad")):
                gain = 0.1 * shift + 0.01 * seed + (0.05 if prompt == "keyword" else 0)
                runs.add({"news": 0.5 + gain, "length": 4.0 - gain}, seed=seed, prompt=prompt, weighting=weighting)
    return runs
