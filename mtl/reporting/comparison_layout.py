"""Comparisons as a reader sees them."""

import csv
import io
import math
from collections.abc import Iterable

from mtl.functional.paired import EXACT_PAIRS, pairs_needed, smallest_p
from mtl.reporting.compare import Comparison, Comparisons
from mtl.reporting.footnotes import Footnote, mark_of
from mtl.reporting.formats import render_layout
from mtl.reporting.layout import ARROWS, Layout, Shown

LEVEL = 0.05
HEADERS = ("pairs", "mean", "baseline", "difference [95 %]", "won/tied/lost", "p", "p Holm", "p Wilcoxon", "p W. Holm")


def render(found: Comparisons, form: str = "text", *, percent: bool = True) -> str:
    """In one of the formats of tables."""
    return to_csv(found) if form == "csv" else render_layout(lay_out(found, percent=percent), form)


def lay_out(found: Comparisons, *, percent: bool = True) -> Layout:
    """The lines with their numbers written; a corrected p of at most 0.05 is marked."""
    notes: dict[str, set[int]] = {}
    for place, line in enumerate(found.lines):
        for note in _notes(line):
            notes.setdefault(note, set()).add(place)
    marks = [mark_of(index) for index in range(len(notes))]
    footnotes = tuple(
        Footnote(mark, note, frozenset((line, 0) for line in lines))
        for mark, (note, lines) in zip(marks, notes.items(), strict=True)
    )
    rows = tuple(
        (
            (*line.row, _label(line, percent)),
            _cells(line, percent, "".join(note.mark for note in footnotes if (place, 0) in note.cells)),
        )
        for place, line in enumerate(found.lines)
    )
    return Layout(
        (*found.keys, "metric"),
        HEADERS,
        rows,
        _caption(found),
        footnotes,
        f"Runs left out: {found.left_out}" if found.left_out else "",
        star=f"corrected p of at most {LEVEL}",
        lines=tuple(_ranking_lines(found)),
    )


def _cells(line: Comparison, percent: bool, marks: str) -> tuple[Shown, ...]:
    pairs = Shown(str(len(line.seeds)), marks=marks)
    if line.problem:
        return (pairs, *(Shown("–") for _ in HEADERS[1:]))
    scale = 100 if percent and line.column.is_bounded else 1
    ends = line.interval or ()
    size = max([abs(line.difference), *map(abs, ends)]) * scale
    places = min(max(2 - (math.floor(math.log10(size)) if size else 0), 2), 8)
    interval = f" [{', '.join(f'{end * scale:+.{places}f}' for end in ends)}]" if ends else ""
    return (
        pairs,
        Shown(f"{line.mean * scale:.{places}f}"),
        Shown(f"{line.baseline * scale:.{places}f}"),
        Shown(f"{line.difference * scale:+.{places}f}", interval),
        Shown("/".join(map(str, line.record))),
        Shown(_p(line.permutation)),
        Shown(_p(line.permutation_holm), best=line.permutation_holm <= LEVEL),
        Shown(_p(line.wilcoxon)),
        Shown(_p(line.wilcoxon_holm), best=line.wilcoxon_holm <= LEVEL),
    )


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _label(line: Comparison, percent: bool) -> str:
    unit = " (%)" if not line.column.is_metric or (percent and line.column.is_bounded) else ""
    return line.column.label + unit + ARROWS[line.column.direction]


def _notes(line: Comparison) -> Iterable[str]:
    if line.problem:
        yield line.problem
    if line.unpaired:
        yield f"left out, without a partner or a number: seed{'s' * (len(line.unpaired) > 1)} " + _listed(line.unpaired)
    if not line.problem and len(line.seeds) == 1:
        yield "one pair: there is no test"
    elif not line.problem and smallest_p(len(line.seeds)) > LEVEL:
        yield (
            f"{len(line.seeds)} pairs are too few: no exact two-sided test of them can go under "
            f"p = {smallest_p(len(line.seeds)):.4g}; {pairs_needed(LEVEL)} are needed for {LEVEL:.0%}"
        )


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _caption(found: Comparisons) -> str:
    baseline = ", ".join(f"{key}={value}" for key, value in found.chosen.items())
    rest = [key for key in found.keys if key not in found.chosen]
    same = f" with the same {' and '.join(rest)}" if rest else ""
    pairs = [len(line.seeds) for line in found.lines if not line.problem]
    parts = [
        f"each row less the baseline {baseline}{same}, paired by seed",
        "mean difference with BCa bootstrap interval",
    ]
    if min(pairs, default=10) < 10:
        parts[-1] += " (too narrow with so few pairs)"
    exact = "exact" if max(pairs, default=0) <= EXACT_PAIRS else f"exact up to {EXACT_PAIRS} pairs"
    parts.append(f"p: two-sided paired permutation test, {exact}; p Wilcoxon: signed-rank test")
    if found.family:
        family = f"Holm's correction over the family of all {found.family} tests of this table, for each kind of test"
        needed = pairs_needed(LEVEL / found.family)
        parts.append(family + (f"; with fewer than {needed} pairs none can reach {LEVEL:.0%}" if needed > 6 else ""))
    return "; ".join([*parts, found.selection])


def _ranking_lines(found: Comparisons) -> Iterable[str]:
    for ranking in found.rankings:
        ranks = ranking.ranks
        listed = sorted(zip(ranks.mean_ranks, ranking.rows, strict=True), key=lambda pair: pair[0])
        yield (
            f"{ranking.over}: Friedman chi-square({len(listed) - 1}) = {ranks.chi_square:.2f}, p = {_p(ranks.p)} "
            f"(approximate); critical difference of mean ranks {ranks.critical_difference:.2f} "
            f"(Nemenyi, {ranks.alpha:.0%}); mean ranks: "
            + ", ".join(f"{' × '.join(row)} {rank:.2f}" for rank, row in listed)
        )


def to_csv(found: Comparisons) -> str:
    """One line a comparison, at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = ("mean", "baseline", "difference", "low", "high", "won", "tied", "lost")
    tests = ("permutation", "permutation_holm", "wilcoxon", "wilcoxon_holm")
    writer.writerow([*found.keys, "metric", "pairs", "seeds", "unpaired", *numbers, *tests, "problem"])
    for line in found.lines:
        values = (line.mean, line.baseline, line.difference, *(line.interval or ("", "")), *line.record)
        seeds = (" ".join(map(str, line.seeds)), " ".join(map(str, line.unpaired)))
        writer.writerow(
            [*line.row, line.column.key, len(line.seeds), *seeds, *values]
            + [getattr(line, test) for test in tests]
            + [line.problem]
        )
    return out.getvalue()
