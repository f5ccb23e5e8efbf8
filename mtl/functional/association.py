"""How strongly each word goes with each label, from counts alone."""

import numpy as np


def chi2(rows_YW: np.ndarray, sizes_Y: np.ndarray) -> np.ndarray:
    """Chi-square of "the row has word w" against "the row has label y", positive where w is commoner under y.

    N (AD - CB)^2 / ((A + C)(B + D)(A + B)(C + D)) of the 2 x 2 table (Yang and Pedersen 1997), no continuity
    correction, with the sign of the association; 0 for a word that all rows have, or none.

    Args:
        rows_YW: rows of label y that have word w.
        sizes_Y: rows of label y.
    """
    A, total = np.asarray(rows_YW, dtype=float), float(np.sum(sizes_Y))
    sizes = np.asarray(sizes_Y, dtype=float)[:, None]
    B = A.sum(0) - A
    C, D = sizes - A, total - sizes - B
    below = (A + C) * (B + D) * (A + B) * (C + D)
    cross = A * D - C * B
    return np.divide(total * cross * np.abs(cross), below, out=np.zeros_like(A), where=below > 0)


def pmi(rows_YW: np.ndarray, sizes_Y: np.ndarray) -> np.ndarray:
    """Pointwise mutual information log p(w, y) / (p(w) p(y)) in nats (Church and Hanks 1990); -inf where never seen.

    Args:
        rows_YW: rows of label y that have word w.
        sizes_Y: rows of label y.
    """
    A, total = np.asarray(rows_YW, dtype=float), float(np.sum(sizes_Y))
    by_chance = A.sum(0) * np.asarray(sizes_Y, dtype=float)[:, None] / total
    share = np.divide(A, by_chance, out=np.zeros_like(A), where=by_chance > 0)
    with np.errstate(divide="ignore"):
        return np.log(share)


def log_odds(times_YW: np.ndarray, strength: float = 500.0) -> np.ndarray:
    """Z of the log-odds ratio of each word under y against all other labels (Monroe, Colaresi and Quinn 2008, eq. 16).

    The Dirichlet prior is informative: the words' shares in all rows, worth `strength` words. The variance is the
    approximation of their eq. 20, 1 / (y_w + a_w) on each side.

    Args:
        times_YW: how often word w stands in the rows of label y; every word at least once in all.
        strength: of the prior, in words.
    """
    ours = np.asarray(times_YW, dtype=float)
    theirs = ours.sum(0) - ours
    prior = strength * ours.sum(0) / ours.sum()
    odds = [
        np.log(counts + prior) - np.log(counts.sum(1, keepdims=True) + strength - counts - prior)
        for counts in (ours, theirs)
    ]
    return (odds[0] - odds[1]) / np.sqrt(1 / (ours + prior) + 1 / (theirs + prior))
