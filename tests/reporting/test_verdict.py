import math

import pytest
from scipy import stats

from mtl.errors import MtlError
from mtl.reporting.expected import Expected, read_expected
from mtl.reporting.measured import over_seeds, read_measured, write_measured
from mtl.reporting.table import Cell, Column, Table
from mtl.reporting.verdict import count_line, judge, to_markdown

HEAD = "row,column,value,tolerance,standard_error,n,source,differs\n"


def table(*cells, column="test/a/accuracy"):
    rows = tuple((f"row{number}", "x") for number in range(len(cells)))
    return Table(("prompt", "weighting"), rows, (Column(column),), tuple((cell,) for cell in cells), (0,))


def word(found, **expected):
    cell = Expected("row0/x", "a/accuracy", source="here", **expected)
    (verdict,) = judge(table(found), [cell], "expected.csv")
    return verdict.word, verdict.p


@pytest.mark.parametrize(("mean", "found"), [(0.5, "inside"), (0.6, "inside"), (0.601, "outside"), (0.399, "outside")])
def test_a_tolerance_is_a_distance(mean, found):
    assert word(Cell(mean, 0.5, 3), value=0.5, tolerance=0.1) == (found, None)


def test_a_tolerance_of_nothing_asks_for_the_number_itself():
    assert word(Cell(3.0), value=3.0, tolerance=0)[0] == "inside"
    assert word(Cell(3.0001), value=3.0, tolerance=0)[0] == "outside"


def test_nan_is_outside_and_nothing_is_missing():
    assert word(Cell(math.nan), value=0.5, tolerance=9)[0] == "outside"
    assert word(Cell(), value=0.5, tolerance=9)[0] == "missing"
    assert word(Cell(problem="seed 0 twice"), value=0.5, error=0.1, n=3)[0] == "missing"


def test_standard_errors_are_welchs_test_of_the_values_themselves():
    ours, theirs = {0: 0.51, 1: 0.55, 2: 0.53}, [0.62, 0.58, 0.64, 0.55, 0.60]
    p = stats.ttest_ind(list(ours.values()), theirs, equal_var=False).pvalue
    mean, error = sum(theirs) / 5, stats.sem(theirs)
    found = word(over_seeds(ours), value=mean, error=error, n=5)
    assert found == ("outside", pytest.approx(p))
    assert word(over_seeds({0: 0.51, 1: 0.61, 2: 0.58}), value=mean, error=error, n=5)[0] == "inside"


def test_one_seed_is_inside_the_prediction_interval_of_the_expected_seeds():
    theirs = [0.62, 0.58, 0.64, 0.55, 0.60]
    mean, error = sum(theirs) / 5, stats.sem(theirs)
    reach = stats.t.ppf(0.975, 4) * stats.tstd(theirs) * math.sqrt(1 + 1 / 5)
    assert word(Cell(mean + 0.99 * reach, None, 1), value=mean, error=error, n=5)[0] == "inside"
    assert word(Cell(mean + 1.01 * reach, None, 1), value=mean, error=error, n=5)[0] == "outside"


def test_without_scatter_only_equal_means_are_inside():
    assert word(Cell(0.5, 0.0, 3), value=0.5, error=0.0, n=3) == ("inside", 1.0)
    assert word(Cell(0.5, 0.0, 3), value=0.6, error=0.0, n=3) == ("outside", 0.0)
    assert word(Cell(0.5, None, 1), value=0.6, error=0.0, n=3) == ("outside", 0.0)


@pytest.mark.parametrize(
    ("row", "column", "says"),
    [
        ("row9/x", "a/accuracy", "no row 'row9/x'; there is row0/x"),
        ("row0/x", "a/f1", "no column 'a/f1'; there is a/a"),
    ],
)
def test_an_expected_cell_that_the_table_does_not_have_is_named(row, column, says):
    with pytest.raises(MtlError, match=says):
        judge(table(Cell(1.0)), [Expected(row, column, 1.0, "here", 0.1)], "mine/expected.csv")


def test_a_row_whose_runs_failed_is_missing():
    verdicts = judge(table(Cell(1.0)), [Expected("row9/x", "a/accuracy", 1.0, "here", 0.1)], "e.csv", whole=False)
    assert count_line(verdicts) == "0 inside, 0 outside, 1 missing"


def test_the_page_says_the_rule_and_what_chance_alone_does():
    cells = [
        Expected("row0/x", "a/accuracy", 1.0, "a|b", error=0.1, n=3),
        Expected("row1/x", "a/accuracy", 1.0, "c", 0),
    ]
    page = to_markdown(judge(table(Cell(1.0, 0.1, 3), Cell(2.0)), cells, "e.csv"), "mine")
    assert "1 inside, 1 outside, 0 missing" in page
    assert "1 cells were tested: about 0.1 lie outside" in page
    assert "a\\|b" in page
    assert page.index("| outside |") < page.index("| inside |")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("row,column,value\n", "the column source is missing; there is row, column, value"),
        ("", "the column row is missing; there is nothing"),
        ("row,column,value,source,colour\n", "Found 'colour'"),
        (HEAD + "a,b,1,0.1,,,s,\na,b,1,0.1,,,s,\n", "line 3: the cell a, b stands in line 2 already"),
        (HEAD + "a,b,many,0.1,,,s,\n", "line 2: value should be a number. Found 'many'"),
        (HEAD + "a,b,nan,0.1,,,s,\n", "value should be a number. Found 'nan'"),
        (HEAD + "a,b,,0.1,,,s,\n", "value should be a number. Found nothing"),
        (HEAD + "a,b,1,,,,s,\n", "a tolerance or a standard_error. Found neither"),
        (HEAD + "a,b,1,0.1,0.1,3,s,\n", "a tolerance or a standard_error. Found both"),
        (HEAD + "a,b,1,-1,,,s,\n", "0 or more. Found -1"),
        (HEAD + "a,b,1,,0.1,,s,\n", "needs n, the number of its seeds, 2 or more. Found nothing"),
        (HEAD + "a,b,1,,0.1,1,s,\n", "2 or more. Found 1"),
        (HEAD + "a,b\n", "line 2 should have 8 values"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, text, says):
    (tmp_path / "expected.csv").write_text(text)
    with pytest.raises(MtlError) as error:
        read_expected(tmp_path / "expected.csv")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_columns_may_be_named_with_test(tmp_path):
    (tmp_path / "expected.csv").write_text(HEAD + "row0/x,test/a/accuracy,0.5,0.1,,,s,\n")
    (verdict,) = judge(table(Cell(0.45)), read_expected(tmp_path / "expected.csv"), "e.csv")
    assert verdict.word == "inside"


def test_measured_cells_survive_the_file(tmp_path):
    cells = {("a", "x", "one"): 1 / 3, ("a", "x", "two"): over_seeds({0: 0.1, 1: 0.3}), ("b", "y", "two"): math.nan}
    write_measured(tmp_path / "measured.csv", ("first", "second"), cells)
    found = read_measured(tmp_path / "measured.csv", {"two": "min"})
    assert found.rows == (("a", "x"), ("b", "y"))
    assert found.columns == (Column("one"), Column("two", "min"))
    assert found.cells[0] == (Cell(1 / 3, None, 1), cells["a", "x", "two"])
    assert found.cells[1][0] == Cell()
    assert math.isnan(found.cells[1][1].mean)
    assert cells["a", "x", "two"].error == pytest.approx(stats.sem([0.1, 0.3]))


def test_measured_cells_that_stand_twice_or_are_not_there_are_named(tmp_path):
    path = tmp_path / "measured.csv"
    write_measured(path, ("key",), {("a", "one"): 1.0})
    with pytest.raises(MtlError, match="has no column 'two'; it has one"):
        read_measured(path, columns=["two"])
    path.write_text(path.read_text() + "a,one,2,,1,,\n")
    with pytest.raises(MtlError, match="line 3: a, one stands twice"):
        read_measured(path)
