"""What a weighting may promise about its weights; the tests hold each to what it claims."""

from enum import Enum, auto


class Claim(Enum):
    """A property of the weights w of the K tasks of a step, and of the direction d = sum_i w_i g_i that they give.

    A claim is about the weights that were found: where `fallbacks` was counted up, older or equal weights stand in for
    them, which promise nothing (opposite gradients under Nash-MTL, FairGrad and IMTL-G; a Gramian that is not finite).
    """

    NONNEGATIVE = auto()
    """No weight is below zero."""
    CONVEX = auto()
    """No weight is below zero and they come to 1 (`scale = "mean"`) or to K (`scale = "sum"`)."""
    PERMUTATION_EQUIVARIANT = auto()
    """The order of the tasks is no matter: d stays and each task takes its weight along."""
    SCALE_INVARIANT = auto()
    """Multiplying all losses (and gradients) by one constant, in all steps, leaves d's direction as it is."""
    TASK_SCALE_INVARIANT = auto()
    """Multiplying each loss (and its gradient) by its own constant, in all steps, leaves d's direction as it is."""
    UNIT_FREE = auto()
    """Multiplying each loss by a constant of its own, in all steps, leaves the weights as they are."""
    NON_CONFLICTING = auto()
    """No task's loss rises along -d, to first order: g_i . d >= 0, that is G w >= 0."""
    STRONGLY_STATIONARY = auto()
    """Where d vanishes, every weight is above zero: no task is sacrificed at a point where training stops."""
