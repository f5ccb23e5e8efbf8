"""How alike two sets of features of the same rows are."""

import numpy as np


def linear_cka(ours_ND: np.ndarray, theirs_NE: np.ndarray) -> float:
    """Linear centred kernel alignment |Y'X|^2 / (|X'X| |Y'Y|), Frobenius norms, columns centred (Kornblith et al. 2019,
    eq. 4 with linear kernels).

    From 0 to 1; the same whatever rotation, shift or one factor either side has. It is biased upwards where rows are
    few beside features. nan where a side is the same for all rows.

    Args:
        ours_ND: features of N rows.
        theirs_NE: other features of the same rows.

    Raises:
        ValueError: the rows differ in number.
    """
    if len(ours_ND) != len(theirs_NE):
        raise ValueError(f"`theirs_NE` should have as many rows as `ours_ND`, {len(ours_ND)}. Found {len(theirs_NE)}")
    X, Y = (np.asarray(side, dtype=float) - np.mean(side, 0, dtype=float) for side in (ours_ND, theirs_NE))
    norms = np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y)
    return float(np.linalg.norm(Y.T @ X) ** 2 / norms) if norms > 0 else float("nan")
