"""Two models on the same rows: an interval and a test for the difference of their scores, by resampling the rows."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """Score of one less score of the other; 95 % percentile interval; two-sided p that there is none."""

    value: float
    low: float
    high: float
    p: float


def score(metric: str, targets_N: np.ndarray, answers_SN: np.ndarray, weights_N: np.ndarray, labels: int) -> float:
    """`accuracy` or `macro_f1` of rows that count `weights_N` times each, mean over S seeds.

    A label that neither stands in the rows nor is answered is left out of macro F1, as torchmetrics does.
    """
    return float(np.mean([_one(metric, targets_N, answers_N, weights_N, labels) for answers_N in answers_SN]))


def _one(metric: str, targets_N: np.ndarray, answers_N: np.ndarray, weights_N: np.ndarray, labels: int) -> float:
    right = targets_N == answers_N
    if metric == "accuracy":
        return float(np.average(right, weights=weights_N))
    hit, wanted, said = (
        np.bincount(at, weights=weights, minlength=labels)
        for at, weights in ((targets_N, weights_N * right), (targets_N, weights_N), (answers_N, weights_N))
    )
    there = wanted + said > 0
    return float(np.mean(2 * hit[there] / (wanted + said)[there]))


def paired_bootstrap(
    metric: str,
    targets_N: np.ndarray,
    ours_SN: np.ndarray,
    theirs_SN: np.ndarray,
    labels: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Rows are drawn with replacement, the same for both (Efron and Tibshirani 1993); the seeds stay as they are.

    So the interval is about other rows and these trained models, not about other seeds. p is twice the smaller share
    of resamples on one side of 0, both sides with one more resample than were drawn, so it is never 0.

    Args:
        metric: `accuracy` or `macro_f1`.
        targets_N: true label of each row, from 0.
        ours_SN: answers of one model, for each of S seeds.
        theirs_SN: answers of the other.
        labels: how many there are.
        resamples: how many.
        seed: of the resampling.
    """
    rows = len(targets_N)

    def gap(weights_N: np.ndarray) -> float:
        sides = (score(metric, targets_N, answers, weights_N, labels) for answers in (ours_SN, theirs_SN))
        return next(sides) - next(sides)

    generator = np.random.default_rng(seed)
    drawn = np.array([gap(generator.multinomial(rows, np.full(rows, 1 / rows))) for _ in range(resamples)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = (1 + min(np.sum(drawn <= 0), np.sum(drawn >= 0))) / (resamples + 1)
    return Difference(gap(np.ones(rows)), float(low), float(high), min(1.0, 2 * float(tail)))
