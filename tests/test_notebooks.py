"""That each notebook runs from top to bottom, and that what is committed is what a run printed, without its noise."""

import re
from pathlib import Path

import nbformat
import pytest

from notebooks.refresh import clean, run, without_noise

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("first_run", "prompts_compared", "what_a_switch_costs", "write_your_own_weighting")
A_MACHINE = {
    "an absolute path": r"(?<![\w./…:-])/(?:home|root|tmp|work|Users|usr|opt|var|mnt|private)\b|\b[A-Z]:\\",
    "a time": r"\d\d:\d\d:\d\d",
    "the id of a run": r"\b[0-9a-f]{32}\b",
    "an address": r"\b0x[0-9a-f]{6,}",
}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    for output in cell.outputs:
        yield output.get("text", "")
        yield from (value for form, value in output.get("data", {}).items() if form.startswith("text/"))


def test_all_are_there_and_in_the_readme():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
    assert all(f"({name}.ipynb)" in (FOLDER / "README.md").read_text() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_was_run_and_says_nothing_of_the_machine(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert not [
        o for cell in code(notebook) for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"
    ]
    for cell in code(notebook):
        for text in texts(cell):
            found = {what for what, pattern in A_MACHINE.items() if re.search(pattern, text)}
            assert not found, text
    assert any("<table" in text for cell in code(notebook) for text in texts(cell))
    assert "assert " in code(notebook)[-1].source, "it ends with what it claims"


def test_noise_is_left_out():
    said = "none x equal, seed 0: zh_pos f1 0.5  (12 s, run 2c4bea6f850f442a97655e806b6c6e09)\n"
    assert without_noise(said) == "none x equal, seed 0: zh_pos f1 0.5  (… s, run …)\n"
    assert without_noise("[2026-11-24 20:45:09,853][HYDRA] \t#0 : seed=1\nleft\n") == "left\n"
    output = nbformat.v4.new_output("stream", name="stderr", text="12 %")
    cell = nbformat.v4.new_code_cell("1", outputs=[output], metadata={"execution": {"iopub.execute_input": "now"}})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    clean(notebook)
    assert notebook.cells[0].outputs == []
    assert notebook.cells[0].metadata == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_from_top_to_bottom_and_leaves_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "here").mkdir()
    run(read(name), tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob("mlflow.db"))
