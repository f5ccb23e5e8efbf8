"""What is trained: two sets of two tasks on the same rows, the weightings, the settings that each may choose from."""

from collections.abc import Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """Two tasks.

    Args:
        tasks: their names.
        words: for `mtl train`.
        left_out: weightings that would be equal weights here.
    """

    tasks: tuple[str, str]
    words: tuple[str, ...]
    left_out: tuple[str, ...] = ()


SPLIT = "split={fractions: [0.94, 0.03, 0.03]}"
PROBLEMS = {
    "multimnist": Problem(("digit_left", "digit_right"), ("task=[digit_left,digit_right]", "trunk=lenet")),
    "shopping": Problem(
        ("shopping_category", "shopping_sentiment"),
        (
            "task=[shopping_category,shopping_sentiment]",
            *(f"tasks.shopping_{task}.{SPLIT}" for task in ("category", "sentiment")),
            "trunk=lstm",
            "trunk.units=64",
            "trunk.embedding=64",
            "data.max_length=32",
        ),
        ("dwa", "igb", "stch"),  # they begin after whole epochs, and 300 steps are a third of one
    ),
}

WEIGHTINGS = (
    *("equal", "fixed_20_80", "fixed_80_20", "scheduled", "uncertainty", "uncertainty_log", "dwa", "rlw", "gls", "dtp"),
    *("famo", "igb", "imtl_l", "excess_mtl", "tchebycheff", "stch", "epo", "cosmos"),
    *("mgda", "pcgrad", "gradvac", "cagrad", "imtl_g", "imtl", "nash_mtl", "aligned_mtl", "upgrad", "dualproj"),
    *("fairgrad", "sdmgrad", "moco", "gradnorm", "db_mtl", "grad_drop", "conflict_free"),
)
"""All but `fixed_50_50` and `linear` (equal weights), `fixed` (80/20), `torchjd` (the same methods), and `krum` and
`trimmed_mean`, which need three tasks."""

EXTRA = {"stch": ("weighting.warmup=0",), "moco": ("gradients=shared",)}
"""Of single weightings; all else is as published. 300 steps are 4.8 epochs of MultiMNIST, and STCH's warm-up takes
four; MoCo remembers gradients from step to step, and features are other ones in each."""


class Setting(NamedTuple):
    """What is searched: the learning rate, and how much is regularised (decoupled weight decay and dropout)."""

    lr: float
    decay: float
    dropout: float

    @property
    def words(self) -> tuple[str, ...]:
        """For `mtl train`."""
        return (
            f"optimizer.lr={self.lr}",
            f"optimizer.weight_decay={self.decay}",
            f"trunk.dropout={self.dropout}",
        )


class Protocol(NamedTuple):
    """How long, which settings are tried with seed 0, the seeds of the final runs (none of them 0), and more words."""

    steps: int = 300
    settings: Sequence[Setting] = tuple(
        Setting(lr, *regularised) for lr in (0.001, 0.003, 0.01) for regularised in ((0.0, 0.0), (0.3, 0.2))
    )
    seeds: Sequence[int] = (1, 2, 3, 4, 5)
    weightings: Sequence[str] = WEIGHTINGS
    problems: Sequence[str] = tuple(PROBLEMS)
    words: Sequence[str] = ()


QUICK = Protocol(
    steps=5,
    settings=(Setting(0.001, 0.0, 0.0), Setting(0.01, 0.3, 0.2)),
    seeds=(1, 2),
    weightings=("equal", "mgda"),
    problems=("multimnist",),
    words=[f"+tasks.digit_{side}.source.tested=1" for side in ("left", "right")],
)
