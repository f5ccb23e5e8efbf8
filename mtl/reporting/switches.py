"""One page, without anything outside of it, that says what switching cost in a run."""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from types import ModuleType

from mtl.errors import MtlError
from mtl.functional.switch_summary import Summary
from mtl.reporting.pages import head
from mtl.reporting.switches_text import DEFINITIONS, STYLE

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Metric -> steps and values."""
DASH = "–"


def headline(summary: Summary) -> str:
    """The largest harm in one line."""
    trace = summary.trace
    seen = f"{len(trace.visits)} visits in {trace.steps} steps"
    if len(trace.visits) == 1:
        return f"Every step trains {', '.join(trace.tasks)}: there is no switch; affinity and conflict are measured"
    harms = {pair: estimate for pair, estimate in summary.cost.items() if estimate.mean > 0}
    if not harms:
        return f"No measured switch cost anything on average ({len(summary.returns)} returns measured; {seen})"
    clear = {pair: estimate for pair, estimate in harms.items() if estimate.low > 0}
    pair = max(clear or harms, key=lambda pair: summary.relative[pair].mean)
    worst, (i, j) = harms[pair], pair
    span = "too few for an interval"
    if math.isfinite(worst.low):
        span = f"95 % interval {worst.low:+.4f} to {worst.high:+.4f}"
    said = "The dearest switch for its task" if clear else "No cost is clearly above 0; the largest"
    return (
        f"{said}: {trace.tasks[i]} → {trace.tasks[j]}, {worst.mean:+.4f} "
        f"({100 * summary.relative[pair].mean:+.1f} % of the loss; n = {worst.n}, {span}; {seen})"
    )


def page(run_id: str, name: str, tags: Mapping[str, str], summary: Summary, curves: Curves) -> str:
    """The page as HTML.

    Args:
        run_id: of the run.
        name: of the run.
        tags: of the run (`mtl.switching` and so on are shown).
        summary: its measures.
        curves: its recorded series: `train/<task>/loss`, `train/<task>/weight`.
    """
    try:
        from mtl.reporting import switches_figures
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MtlError("the page needs matplotlib: pip install 'mtl[figures]'") from None
    trace = summary.trace
    known = [key for key in ("switching", "prompt", "weighting", "trunk", "seed") if f"mtl.{key}" in tags]
    facts = [f"{key} <b>{_safe(tags[f'mtl.{key}'])}</b>" for key in known]
    parts = [
        f"<h1>{_safe(name)}</h1>",
        f"<p class=facts>run {_safe(run_id)} · {' · '.join(facts)} · {trace.steps} steps</p>",
        f"<p class=headline>{_safe(headline(summary))}</p>",
        *_sections(summary, curves, switches_figures),
        _definitions(),
        f"<p class=foot>{_safe(_measured(summary))}</p>",
    ]
    return f"{head(f'Switches of {name}', STYLE)}<body>{''.join(parts)}</body></html>\n"


def _sections(summary: Summary, curves: Curves, draw: ModuleType) -> Iterable[str]:
    trace, T = summary.trace, len(summary.trace.tasks)
    tasks = trace.tasks
    yield "<h2>Which task trained, and what became of the losses</h2>"
    yield draw.timeline(summary)
    yield draw.lines(_series(summary, curves), tasks)
    yield "<h2>Costs of switches</h2>"
    if summary.cost or summary.interference:
        shown = {
            "cost C": (draw.matrix_of(summary.cost, T), draw.HARM),
            "C over the loss": (draw.matrix_of(summary.relative, T), draw.HARM),
            "interference I": (draw.matrix_of(summary.interference, T), draw.HARM),
            "stale momentum O": (draw.matrix_of(summary.stale, T), draw.HARM),
        }
        shown = {title: part for title, part in shown.items() if any(map(math.isfinite, part[0].flat))}
        yield draw.matrices(tasks, shown, "to j", "from i")
        yield _note("Orange: harm, the loss of j rises. Purple: help. Grey: never happened, or not measured.")
        yield _pairs(summary)
    else:
        yield _note("No task was left and taken up again, so there is nothing to measure.")
    yield "<h2>Affinity and conflict</h2>"
    affinities = {
        "of whole visits A": (draw.matrix_of(summary.realised, T), draw.HELP),
        "of one step Z": (summary.lookahead.numpy(), draw.HELP),
        "Z, first order": (summary.first_order.numpy(), draw.HELP),
        "in training, first order": (summary.free.numpy(), draw.HELP),
    }
    affinities = {title: part for title, part in affinities.items() if any(map(math.isfinite, part[0].flat))}
    if affinities:
        yield draw.matrices(tasks, affinities, "on j", "a step of i")
    if summary.conflicts:
        everywhere = summary.conflicts["all"]
        conflicts = {
            "cosine": (everywhere.cosine.numpy(), draw.HELP),
            "share of steps cos < 0": (everywhere.negative.numpy(), draw.HARM),
            "magnitude similarity": (everywhere.similarity.numpy(), draw.HELP),
        }
        yield draw.matrices(tasks, conflicts, "gradient of j", "gradient of i")
        if T > 1:
            yield "<h3>Mean cosine by layer</h3>" + draw.layers(summary)
    else:
        yield _note("No gradients were compared: no shared parameters train, or the run was too short for its share.")
    yield "<h2>Tasks</h2>"
    yield _tasks(summary)


def _series(summary: Summary, curves: Curves) -> dict[str, Curves]:
    tasks, losses = summary.trace.tasks, summary.trace.losses
    probe: dict[str, tuple[list[float], list[float]]] = {}
    for place, task in enumerate(tasks):
        points = [(step, row[place]) for step, row in sorted(losses.items()) if math.isfinite(row[place])]
        probe[task] = ([float(step) for step, _ in points], [value for _, value in points])
    found: dict[str, Curves] = {"probe loss": probe}
    for label, metric in (("training loss", "loss"), ("weight", "weight")):
        known = {task: curves[f"train/{task}/{metric}"] for task in tasks if f"train/{task}/{metric}" in curves}
        if known:
            found[label] = known
    return found


def _pairs(summary: Summary) -> str:
    tasks = summary.trace.tasks
    header = (
        "switch",
        "C",
        "95 % interval",
        "n",
        "C over the loss",
        "recovery, steps",
        "recovered",
        "stale momentum O",
    )
    rows = []
    for i, j in product(range(len(tasks)), repeat=2):
        if (i, j) not in summary.cost:
            continue
        cost, stale = summary.cost[i, j], summary.stale.get((i, j))
        rows.append(
            (
                f"{tasks[i]} → {tasks[j]}",
                f"{cost.mean:+.4f}",
                DASH if math.isnan(cost.low) else f"{cost.low:+.4f} to {cost.high:+.4f}",
                str(cost.n),
                f"{100 * summary.relative[i, j].mean:+.1f} %",
                _steps(summary.recovery[i, j]),
                f"{100 * summary.recovered[i, j]:.0f} %",
                DASH if stale is None else f"{stale.mean:+.5f}",
            )
        )
    return _table(header, rows)


def _tasks(summary: Summary) -> str:
    trace = summary.trace
    header = ("task", "steps with it", "dwell", "rows", "rows over plan", "exposure", "dominance", "forgetting")
    header = (*header, "first step / others")
    rows = []
    for place, task in enumerate(trace.tasks):
        had = sum(visit.end - visit.start for visit in trace.visits if place in visit.tasks)
        rows.append(
            (
                task,
                str(had),
                _number(summary.dwell[place], ".1f"),
                f"{trace.rows.get(task, math.nan):.0f}",
                _number(summary.realised_rows.get(task, math.nan), ".3f"),
                _number(summary.exposure.get(task, math.nan), ".3f"),
                _number(100 * float(summary.dominance[place]), ".0f", " %"),
                _number(summary.forgetting[place], "+.4f"),
                _number(summary.throughput[place], ".2f"),
            )
        )
    told = (
        f"Backward transfer {_number(summary.backward_transfer, '+.4f')}, forward transfer "
        f"{_number(summary.forward_transfer, '+.4f')}; {summary.switch_rate:.0f} switches in 1,000 steps."
    )
    return _table(header, rows) + _note(told)


def _measured(summary: Summary) -> str:
    trace = summary.trace
    return (
        f"Measured on validation rows that the run never trains on, in {trace.windows} windows of switches and "
        f"{len(trace.gradients)} comparisons of gradients; {len(summary.returns)} returns to a task. Measuring took "
        f"{100 * trace.share_of_time:.1f} % of the time of the training steps and changed nothing in them. Intervals "
        "are bootstrap intervals over the switches of this one run: they say nothing of other seeds."
    )


def _definitions() -> str:
    rows = [
        (f"<b>{what}</b>", f"<code>{_safe(formula)}</code>", _safe(source)) for what, formula, source in DEFINITIONS
    ]
    cells = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
    return f"<h2>Definitions</h2><table class=words>{cells}</table>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_safe(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _note(text: str) -> str:
    return f"<p class=note>{_safe(text)}</p>"


def _number(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if math.isfinite(value) else DASH


def _steps(value: float) -> str:
    return "not within its visits" if math.isinf(value) else f"{value:g}"


def _safe(text: str) -> str:
    """Escaped, with a minus before a number."""
    return html.escape(re.sub(r"(?<![\w-])-(?=\d)", "−", text))
