"""How easily labels are told from features: the commonest label, a linear probe, and nearest neighbours."""

from typing import Any

import numpy as np

NEIGHBOURS = 5
Probes = dict[str, float]
"""`majority`, `linear` and `knn` by accuracy, `linear_f1` by macro F1."""


def probe(train_ND: Any, train_N: np.ndarray, val_ND: Any, val_N: np.ndarray) -> Probes:
    """Fit on training rows, score on validation rows; `majority` alone where the training rows have one label.

    The linear probe is scikit-learn's logistic regression (L2, C = 1), the neighbours are 5 by cosine.

    Args:
        train_ND: features, dense or sparse.
        train_N: labels, from 0.
        val_ND: as `train_ND`.
        val_N: as `train_N`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.neighbors import KNeighborsClassifier

    scores = {"majority": float(np.mean(val_N == np.bincount(train_N).argmax()))}
    if len(set(train_N.tolist())) < 2:
        return scores
    said_N = LogisticRegression(max_iter=1000).fit(train_ND, train_N).predict(val_ND)
    scores["linear"] = float(accuracy_score(val_N, said_N))
    scores["linear_f1"] = float(f1_score(val_N, said_N, average="macro"))
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(train_N)), metric="cosine").fit(train_ND, train_N)
    return scores | {"knn": float(neighbours.score(val_ND, val_N))}
