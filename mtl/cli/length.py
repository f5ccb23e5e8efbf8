"""How long a run is: its budget, and when it stops before that is used up."""

from collections.abc import Mapping
from typing import Any

from mtl.errors import MtlError, choices
from mtl.strategies.switching.plan import Plan
from mtl.training.budget import Budget
from mtl.training.early_stop import EarlyStop

Config = Mapping[str, Any]


def make_budget(config: Config) -> Budget:
    """The length of a run: its steps, or the one amount that is given in another unit; MtlError for two."""
    given: dict[Any, Any] = {unit: amount for unit, amount in config["budget"].items() if amount is not None}
    if len(given) > 1:
        raise MtlError(f"budget should be given in one unit. Found {choices(given).replace(' or ', ' and ')}")
    for unit, amount in given.items():
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
            raise MtlError(f"budget.{unit} should be a positive number. Found {amount!r}")
        return Budget(unit, amount)
    return Budget("steps", config["steps"])


def make_early_stop(config: Config, plan: Plan) -> EarlyStop | None:
    """Early stopping, where a patience is given; MtlError where no task could retire."""
    found = config["early_stop"]
    if found["patience"] is None and found["mean_patience"] is None:
        return None
    one_block = len(plan.sizes) > 1 and plan.steps is not None and plan.block >= plan.steps
    if found["patience"] is not None and one_block:
        raise MtlError(
            "early_stop.patience retires a task at the plan's next block, but the run's "
            f"{plan.steps} steps are planned as one: take a smaller switching.block, an order that does not plan the "
            "whole run at once, or early_stop.mean_patience"
        )
    return EarlyStop(plan, found["patience"], found["mean_patience"], found["least_gain"])
