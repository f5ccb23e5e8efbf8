"""Settings of Lightning's trainer under which a step would not be what its weighting or optimiser says."""

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy

from mtl.errors import MtlError
from mtl.strategies.weighting.base import Weighting
from mtl.training.where import Where


def check_trainer(trainer: pl.Trainer, weighting: Weighting, where: Where, parts: int) -> None:
    """What would change the meaning of a weighting.

    Lightning accumulates whole steps: each micro-batch would get weights from its own losses or Gramian, and a
    weighting's memory would move on at each. In 16-mixed, gradients that are taken here come before the scale of the
    loss, so that small ones vanish.

    Args:
        trainer: about to fit.
        weighting: of the run.
        where: its gradients are compared.
        parts: that a step's rows go through the model in.

    Raises:
        MtlError: a setting is such a one.
    """
    if trainer.accumulate_grad_batches != 1:
        raise MtlError(
            "accumulate_grad_batches should be 1: it finds weights for each micro-batch, not for the whole step; "
            f"`accumulate` does. Found {trainer.accumulate_grad_batches}"
        )
    taken = weighting.needs_gramian or parts > 1 or trainer.world_size > 1
    if taken and trainer.precision == "16-mixed":
        raise MtlError(
            f"precision=16-mixed loses small gradients, which {weighting.name}, accumulate above 1 or several "
            "processes take before the loss is scaled; take bf16-mixed"
        )
    if trainer.world_size > 1:
        if not isinstance(trainer.strategy, DDPStrategy):
            raise MtlError(f"strategy should be DDP for several processes. Found {type(trainer.strategy).__name__}")
        if weighting.needs_jacobian and where == "features":
            raise MtlError(f"{weighting.name} needs gradients=shared for several processes: each has its own rows")


def check_per_task(trainer: pl.Trainer) -> None:
    """MtlError where gradients of tasks would reach their moments (AdaTask) otherwise than they are taken."""
    if trainer.gradient_clip_val:
        found = trainer.gradient_clip_val
        raise MtlError(f"gradient_clip_val should be null: it does not reach optimizer=adatask. Found {found}")
    if trainer.precision == "16-mixed":
        raise MtlError("optimizer=adatask needs gradients without a scale, not precision=16-mixed; take bf16-mixed")
