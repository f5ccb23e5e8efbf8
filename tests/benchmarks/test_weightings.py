import pytest

from benchmarks.weightings import main


def rows_of(capsys, *arguments: str) -> list[tuple[str, str]]:
    assert main(["--trunk", "tiny", "--tasks", "2", "--steps", "1", "--repeats", "1", *arguments]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert all(cells[3].strip() for cells in rows)
    return [(cells[1].strip(), cells[2].strip()) for cells in rows[1:]]


ALWAYS = [("the loop against itself", ""), ("a backward a task", "")]


def test_prints_a_row_an_arm(capsys):
    pytest.importorskip("torchjd")
    rows = rows_of(capsys, "--weightings", "equal,famo,upgrad")
    losses = [("equal", "losses"), ("famo", "losses")]
    upgrad = [("upgrad", "shared"), ("upgrad", "features")]
    assert rows == [*ALWAYS, *losses, *upgrad, ("famo", "TorchJD"), ("upgrad", "TorchJD")]


def test_takes_gradients_at_the_last_layer_too(capsys):
    rows = rows_of(capsys, "--weightings", "gradvac", "--where", "last_layer")
    assert ("gradvac", "last_layer") in rows


def test_rows_of_its_own_a_task_have_no_common_features(capsys):
    rows = rows_of(capsys, "--weightings", "equal,krum", "--own-rows")
    assert rows == [*ALWAYS, ("equal", "losses"), ("krum", "shared")]


def test_says_what_is_left_out_and_where_equal_weights_stood_in(capsys):
    assert main(["--trunk", "tiny", "--tasks", "2", "--steps", "1", "--repeats", "1", "--weightings", "krum"]) == 0
    out = capsys.readouterr().out
    assert "left out: LibMTL: " in out
    assert "krum, features, 2 tasks: no weights in 5 of 5 steps" in out


def test_an_unknown_weighting_is_one_line(capsys):
    with pytest.raises(SystemExit):
        main(["--weightings", "nope"])
    assert "there is no 'nope'" in capsys.readouterr().err
