"""The worst of the losses, max_i lambda_i (L_i - z_i), and a smooth form of it, as weights: the slope in each loss."""

from torch import Tensor


def tchebycheff(losses: Tensor, preferences: Tensor) -> Tensor:
    """lambda_i for the worst task, 0 for the rest; tasks that tie share."""
    terms = preferences * losses
    worst = (terms == terms.max()).to(losses.dtype)
    return preferences * worst / worst.sum()


def smooth_tchebycheff(losses: Tensor, preferences: Tensor, mu: float) -> Tensor:
    """lambda_i softmax(lambda L / mu)_i, the slope of mu ln sum_i exp(lambda_i L_i / mu) (Lin et al. 2024)."""
    return preferences * (preferences * losses / mu).softmax(0)
