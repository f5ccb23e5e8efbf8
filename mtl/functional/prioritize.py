"""Dynamic task prioritisation (Guo et al. 2018, equations 3 and 4): the harder a task, the more it counts."""

from torch import Tensor


def prioritize(skill: Tensor, focus: Tensor | float) -> Tensor:
    """-(1 - kappa)^gamma ln kappa for a skill kappa in (0, 1]: a focal loss of the task as a whole."""
    return -((1 - skill) ** focus) * skill.log()
