"""GradNorm (Chen et al. 2018, equations 1 and 2): gradient norms that follow the tasks' training rates."""

from torch import Tensor


def gradnorm_slope(weights: Tensor, norms: Tensor, ratios: Tensor, alpha: float) -> Tensor:
    """Slope in w of sum_i |w_i |g_i| - mean(w |g|) r_i^alpha|, where r_i is L_i / L_i(0) over its mean.

    The second term is a constant, as in the paper.
    """
    weighted = weights * norms
    targets = weighted.mean() * (ratios / ratios.mean()) ** alpha
    return norms * (weighted - targets).sign()
