"""Kinds of task: what a label is, which loss and metrics it has, and how an output reads."""

from mtl.data.kinds.base import Answer, Kind
from mtl.data.kinds.classification import Classification
from mtl.data.kinds.multilabel import MultiLabel
from mtl.data.kinds.regression import Regression
from mtl.data.kinds.tagging import Tagging

KINDS: dict[str, type[Kind]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "regression": Regression,
    "tagging": Tagging,
}

__all__ = ["KINDS", "Answer", "Classification", "Kind", "MultiLabel", "Regression", "Tagging"]
