import csv
import io
import json
import math
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from mtl.errors import MtlError
from mtl.reporting.cells import summarise
from mtl.reporting.formats import FORMATS, render
from mtl.reporting.layout import lay_out
from mtl.reporting.table import Cell, Column, Table
from mtl.reporting.terminal import to_text


def table_of(*cells, column="test/news/rmse", direction="min", seeds=(0, 1, 2)):
    """One column."""
    rows = tuple((f"row{index}",) for index in range(len(cells)))
    return Table(("weighting",), rows, (Column(column, direction),), tuple((cell,) for cell in cells), seeds)


def shown(table, **options):
    return [cell.number + cell.rest for _, (cell,) in lay_out(table, **options).rows]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((0.0123, 0.0456), ["1.000 ± 0.012", "1.000 ± 0.046"]),
        ((1.23, 4.56), ["1.0 ± 1.2", "1.0 ± 4.6"]),
        ((123.0, 456.0), ["1 ± 123", "1 ± 456"]),
        ((0.0996, 0.0996), ["1.00 ± 0.10", "1.00 ± 0.10"]),  # rounds up to the next power of ten
        ((0.5, 0.6, 0.0004), ["1.0000 ± 0.5000", "1.0000 ± 0.6000", "1.0000 ± 0.0004"]),  # never 0.0
        ((None, None), ["1.000", "1.000"]),
    ],
)
def test_digits_follow_the_standard_error(errors, expected):
    assert shown(table_of(*(Cell(1.0, error, 3) for error in errors))) == expected


def test_digits_may_be_asked_for():
    assert shown(table_of(Cell(1.23456, 0.12345, 3)), digits=3) == ["1.235 ± 0.123"]


def test_a_negative_number_of_digits_is_refused():
    with pytest.raises(MtlError, match=r"digits should be 0 or more\. Found -1"):
        lay_out(table_of(Cell(1.0)), digits=-1)


def test_fractions_are_shown_in_percent_and_others_are_not():
    cells = [Cell(0.5, 0.01, 3), Cell(0.625, 0.02, 3)]
    accuracy = table_of(*cells, column="test/news/accuracy", direction="max")
    assert shown(accuracy) == ["50.0 ± 1.0", "62.5 ± 2.0"]
    assert lay_out(accuracy).headers == ("news accuracy (%) ↑",)
    assert shown(accuracy, percent=False) == ["0.500 ± 0.010", "0.625 ± 0.020"]
    assert lay_out(accuracy, percent=False).headers == ("news accuracy ↑",)
    assert shown(table_of(*cells)) == ["0.500 ± 0.010", "0.625 ± 0.020"]


def test_n_stands_in_each_cell_only_where_it_differs():
    same = table_of(Cell(1.0, 0.1, 3), Cell(2.0, 0.1, 3))
    assert lay_out(same).caption == "mean ± standard error over 3 seeds (0, 1, 2)"
    differs = table_of(Cell(1.0, 0.1, 3), Cell(2.0, 0.1, 2))
    assert shown(differs) == ["1.00 ± 0.10 (3)", "2.00 ± 0.10 (2)"]
    assert "(number of seeds)" in lay_out(differs).caption


def test_one_seed_shows_no_standard_error():
    table = table_of(Cell(1.5, None, 1), Cell(2.5, None, 1), seeds=(0,))
    assert "±" not in render(table).replace("mean ±", "")
    assert lay_out(table).caption == "one seed (0), so no standard error"


@pytest.mark.parametrize(
    ("direction", "means", "best"),
    [
        ("min", [1.0, 2.0, 3.0], [True, False, False]),
        ("max", [1.0, 3.0, 3.0], [False, True, True]),
        ("max", [1.0, math.nan, None], [False, False, False]),  # nothing to compare with
        ("max", [math.nan, 1.0, 2.0], [False, False, True]),
        (None, [1.0, 2.0, 3.0], [False, False, False]),
        ("min", [1.0], [False]),
    ],
)
def test_the_best_of_a_column_is_bold(direction, means, best):
    table = table_of(*(Cell(mean, None, 1) for mean in means), direction=direction)
    assert [cell.best for _, (cell,) in lay_out(table).rows] == best


def test_a_problem_stands_in_place_of_the_number():
    table = table_of(Cell(problem="seed 0 twice", notes=("seed 0 twice (runs a, b)",)), Cell(1.0, 0.1, 2), Cell())
    markdown = render(table, "markdown")
    assert "| row0 | seed 0 twice<sup>a</sup> |" in markdown
    assert "<sup>a</sup> news rmse, row0: seed 0 twice (runs a, b)" in markdown
    assert "| row2 | – |" in markdown


def test_runs_left_out_are_told_in_every_format_that_people_read(grid):
    grid.add({"news": 0.5, "length": 1.0}, status="FAILED")
    for form in set(FORMATS) - {"csv"}:
        assert "Runs left out: 1 failed" in render(summarise(grid.frame), form)


def test_names_the_pool_of_the_mean_rank(grid):
    layout = lay_out(summarise(grid.frame))
    assert "mean rank among 4 rows over 2 columns" in layout.caption
    assert [cells[-1].number for _, cells in layout.rows] == ["4.00", "2.00", "3.00", "1.00"]


def test_markdown_has_as_many_cells_in_every_line(grid):
    lines = [line for line in render(summarise(grid.frame), "markdown").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {7}
    assert len(lines) == 2 + 4
    assert "**66.00** ± 0.58" in lines[-1]


def test_latex_escapes_names_and_marks_the_best(grid):
    frame = grid.frame.replace("pcgrad", "50%_of & {x}")
    latex = render(summarise(frame), "latex")
    assert r"keyword & 50\%\_of \& \{x\} & \textbf{66.00} $\pm$ 0.58 &" in latex
    assert r"news accuracy (\%) $\uparrow$ & length rmse $\downarrow$ & $\Delta_m$ (\%) $\uparrow$" in latex
    assert r"\begin{tabular}{llrrrr}" in latex
    assert latex.isascii()
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_csv_has_every_number_in_full(grid):
    table = summarise(grid.frame)
    lines = list(csv.DictReader(io.StringIO(render(table, "csv", digits=1))))
    assert len(lines) == 4 * 4
    first = lines[0]
    assert list(first) == ["prompt", "weighting", "column", "mean", "standard_error", "n", "seeds", "notes"]
    assert float(first["mean"]) == table.cells[0][0].mean
    assert float(first["standard_error"]) == table.cells[0][0].error
    assert (first["column"], first["n"], first["seeds"]) == ("test/news/accuracy", "3", "0 1 2")


def test_html_is_well_formed_and_escaped(grid):
    frame = grid.frame.replace("pcgrad", "<script>")
    fragment = render(summarise(frame), "html")
    assert "<script>" not in fragment
    assert "&lt;script&gt;" in fragment
    opened = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "br":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Checker().feed(fragment)
    assert not opened
    assert fragment.count("<tr>") == fragment.count("</tr>") == 5


def test_text_stars_the_best_and_keeps_every_column(grid):
    text = render(summarise(grid.frame))
    assert "66.00* ± 0.58" in text
    header = " ".join(text.splitlines()[0].split())
    assert header == "prompt weighting news accuracy (%) ↑ length rmse ↓ Δm (%) ↑ mean rank ↓"
    assert "* best" in text
    assert "\x1b" not in text


def test_text_in_colour_is_bold_without_stars(grid):
    text = to_text(lay_out(summarise(grid.frame)), colour=True)
    assert "\x1b[1m66.00\x1b[0m ± 0.58" in text
    assert "*" not in text


def test_an_unknown_format_is_refused(grid):
    with pytest.raises(MtlError, match=r"should be text, markdown, latex, csv or html\. Found 'xls'"):
        render(summarise(grid.frame), "xls")


def test_reporting_loads_neither_mlflow_nor_hydra():
    code = "import json, sys, mtl.reporting.formats, mtl.reporting.cells; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"mlflow", "hydra", "omegaconf", "torch", "pandas"} & set(json.loads(loaded))
