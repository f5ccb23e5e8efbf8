"""Lines of `mtl context-switch` as a table, and in full precision as CSV."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mtl.functional.switch_cost import Estimate
from mtl.reporting.formats import render_layout
from mtl.reporting.layout import Layout, Shown

if TYPE_CHECKING:
    from mtl.training.context_switch import Line

DASH = "–"
FIRST = ("history", "task", "turns", "rows", "metric", "score", "uncalibrated", "change")
UNKNOWN = (math.nan,) * 3
COSTS = ("switch", "choice")
SENSITIVITIES = ("zero_shot", "confidence", "loss")
HEADERS = (
    *("rows", "score (%)", "uncalibrated (%)", "change (%)", "τ zero-shot", "confidence", "loss"),
    *("switch cost", "of it which label", "format failures (%)", "repeats (%)"),
)
CAPTION = (
    "each task after turns of a history, the same rows everywhere; uncalibrated: the score of the labels with the most "
    "probable words, without the head's calibration and bias; change: 100 (M_L - M_0) / M_0; sensitivities in "
    "nats [95 % bootstrap interval over rows], positive: the history takes away (Gupta et al. 2024); switch cost "
    "(ours): what the true label has less, in nats, than after as many turns of its own task, and the part of it that "
    "is which label is said, not whether one is; format failures (ours): the most probable next token begins no label "
    "word; repeats (ours): the most probable label is that of the last turn"
)


def render(lines: "Sequence[Line]", form: str) -> str:
    """In one of the formats of tables."""
    return to_csv(lines) if form == "csv" else render_layout(lay_out(lines), form)


def lay_out(lines: "Sequence[Line]") -> Layout:
    """The lines with their numbers written: each task alone, then after each history."""
    metrics = ", ".join(f"{line.task} {line.metric}" for line in lines if not line.turns)
    rows = tuple(((line.history or DASH, line.task, str(line.turns)), tuple(_cells(line))) for line in lines)
    return Layout(("history", "task", "turns"), HEADERS, rows, f"{CAPTION}; scores: {metrics}", (), "")


def _cells(line: "Line") -> Iterable[Shown]:
    yield Shown(str(line.rows))
    yield Shown(f"{100 * line.score:.2f}")
    yield Shown(f"{100 * line.uncalibrated:.2f}")
    yield Shown(DASH if not line.turns or math.isnan(line.change) else f"{line.change:+.2f}")
    for name in SENSITIVITIES:
        yield _estimate(getattr(line, name)) if line.turns else Shown(DASH)
    for cost in (line.switch, line.choice):
        yield Shown(DASH) if cost is None else _estimate(cost)
    yield Shown(f"{100 * line.failures:.1f}")
    yield Shown(DASH if line.repeats is None else f"{100 * line.repeats:.1f}")


def _estimate(found: Estimate) -> Shown:
    return Shown(f"{found.mean:+.3f}", "" if math.isnan(found.low) else f" [{found.low:+.3f}, {found.high:+.3f}]")


def to_csv(lines: "Sequence[Line]") -> str:
    """One line a history and task; what isn't known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = [f"{name}{end}" for name in (*SENSITIVITIES, *COSTS) for end in ("", "_low", "_high")]
    writer.writerow([*FIRST, *parts, "format_failures", "repeats"])
    for line in lines:
        estimates = [(getattr(line, name) or UNKNOWN)[:3] for name in (*SENSITIVITIES, *COSTS)]
        numbers = [line.uncalibrated, line.change, *(value for of in estimates for value in of), line.failures]
        numbers.append(math.nan if line.repeats is None else line.repeats)
        known = ["" if math.isnan(value) else value for value in numbers]
        writer.writerow([line.history, line.task, line.turns, line.rows, line.metric, line.score, *known])
    return out.getvalue()
