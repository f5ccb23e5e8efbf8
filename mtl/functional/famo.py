"""FAMO (Liu et al. 2023, algorithm 1): all losses fall at one rate, from loss values alone."""

from torch import Tensor


def famo(logits: Tensor, losses: Tensor) -> Tensor:
    """z_i / L_i, brought to a sum of 1, with z = softmax(logits): the slope of c sum_i z_i ln L_i."""
    return (logits.log_softmax(0) - losses.log()).softmax(0)


def famo_slope(logits: Tensor, falls: Tensor) -> Tensor:
    """Slope in the logits of sum_i z_i fall_i, where fall_i = ln L_i(before) - ln L_i(after)."""
    shares = logits.softmax(0)
    return shares * (falls - (shares * falls).sum())
