"""docs/api.md: every public name is on it, with the signature that it has, and every example runs."""

import inspect
import re
from pathlib import Path

import matplotlib as mpl
import pytest

import mtl as package

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def bare(function):
    """`(runs, metrics)`: the signature without its types."""
    found = inspect.signature(function)
    parameters = [one.replace(annotation=one.empty) for one in found.parameters.values()]
    return str(found.replace(parameters=parameters, return_annotation=found.empty))


@pytest.mark.parametrize("name", package.__all__)
def test_the_signature_on_the_page_is_that_of_the_code(name):
    thing = getattr(package, name)
    call, thing = ("Table.from_runs", thing.from_runs) if name == "Table" else (name, thing)
    # an exception has no signature, and a trunk that of a torch module
    signature = {"MtlError": "(message)", "Trunk": "()"}.get(name) or bare(thing)
    assert f"\n### {name}\n\n    mtl.{call}{signature}\n" in PAGE


def test_every_name_has_one_heading_and_no_other_has():
    assert sorted(re.findall(r"^### (.*)$", PAGE, re.MULTILINE)) == sorted(package.__all__)


def test_every_example_runs(folder):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    names: dict[str, object] = {}
    with mpl.rc_context():
        for block in blocks:
            exec(compile(block, "docs/api.md", "exec"), names)
    assert (folder / "weights.pdf").stat().st_size > 1000
    assert len(names["runs"]) == 4
    assert set(names["curves"]["metric"]) == {"train/reviews/loss", "train/names/weight"}
