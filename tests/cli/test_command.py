import itertools
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from mtl.cli.conf import conf_dir, options, with_files
from mtl.cli.describe import flat
from mtl.cli.main import main

ROOT = Path(__file__).parents[2]


def test_help_needs_no_heavy_import():
    code = (
        "import sys\nfrom mtl.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'hydra', 'pytorch_lightning', 'torchmetrics'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"train", "table", "predict", "reproduce", "ui"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("table", "mine", "--nope"), "unrecognized arguments: --nope (mtl table --help "),
        (("train", "seed=1", "--nope"), "unrecognized arguments: --nope (mtl train --help "),
        (("table",), "the following arguments are required: experiment (mtl table --help "),
        (("table", "mine", "--digits", "x"), "argument --digits: invalid int value: 'x' (mtl table --help "),
        (("table", "mine", "--format", "word"), "argument --format: invalid choice: 'word' (choose from "),
        (("prompt", "export", "--nope"), "(mtl prompt"),
        (("tabel", "mine"), "argument COMMAND: invalid choice: 'tabel' (choose from "),
        ((), "the following arguments are required: COMMAND (mtl --help "),
    ],
)
def test_what_a_command_does_not_take_is_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mtl: ")
    assert said in line
    assert line.endswith("--help lists what there is)")


def test_train_help_lists_the_options_of_every_group(mtl):
    done = mtl("train", "--help")
    assert done.code == 0
    for group in (path.name for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra"):
        (line,) = [line for line in done.out.split("Values (")[0].splitlines() if line.startswith(f"{group}: ")]
        assert line == f"{group}: {', '.join(options(group))}"


def test_train_help_says_what_each_value_means(mtl):
    done = mtl("train", "--help", "steps=7", "budget.tokens=9")
    lines = [line.strip() for line in done.out.splitlines()]
    told = [line.strip() for line in (conf_dir() / "config.yaml").read_text().split("\nhydra:")[0].splitlines()]
    values = yaml.safe_load((conf_dir() / "config.yaml").read_text())
    kept = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    for field in flat(kept):
        key = field.rpartition(".")[2]
        (comment,) = [line.partition(" # ")[2] for line in told if line.startswith(f"{key}:")]
        assert comment, field
        value = {"steps": "7", "tokens": "9", "seed": "0", "selection": "last"}.get(key, "")
        assert [line for line in lines if line.startswith(f"{key}: {value}") and line.endswith(f" # {comment}")], field
    assert "  rows: 0" in done.out.splitlines()  # of the probe: another field of the same name


def test_train_help_says_what_the_chosen_options_and_their_values_mean(mtl):
    done = mtl("train", "--help", "prompt=soft", "prompt.length=7", "trunk=transformer")
    lines = done.out.splitlines()
    for group, option in {"prompt": "soft", "trunk": "transformer", "tracking": "mlflow"}.items():
        head, *told = (conf_dir() / group / f"{option}.yaml").read_text().splitlines()
        begin = lines.index(f"{group}: # {option}: {head.removeprefix('# ')}") + 1
        own = list(itertools.takewhile(lambda line: line.startswith(" "), lines[begin:]))
        for line in (line for line in told if " # " in line):
            key, comment = line.partition(":")[0], line.partition(" # ")[2]
            assert [said for said in own if said.startswith(f"  {key}: ") and said.endswith(f" # {comment}")], line
    assert "  length: 7 # or for each task its own: {zh_sentiment: 10, zh_pos: 20}" in lines
    assert "or last, mean" not in done.out  # of the lstm


def test_an_option_may_be_a_file_anywhere(tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: classification\nsource: rows.csv\n")
    with with_files(
        [f"task=[zh_pos,{tmp_path}/mine.yaml]", "seed=1,2", "task.x=a.yaml", "tasks.mine.label=b"]
    ) as words:
        assert words[:4] == ["task=[zh_pos,mine]", "seed=1,2", "task.x=a.yaml", "++tasks.mine.label=b"]
        staged = Path(words[4].split("file://")[1].rstrip("]")) / "task" / "mine.yaml"
        head = staged.read_text().splitlines()
        assert head[0] == "# @package tasks.mine"
        assert head[1] == f"_base_: '{tmp_path}'"
    assert not staged.exists()


def test_cfg_shows_the_configuration_and_trains_nothing(mtl, folder):
    done = mtl("train", "--cfg", "job", "prompt=keyword")
    assert done.code == 0
    assert "mtl.prompts.keyword.Keyword" in done.out
    assert not (folder / "outputs").exists()


@pytest.mark.slow
def test_the_wheel_carries_the_configuration_and_works_without_the_checkout(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("mtl-*.whl")
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    assert {p.relative_to(ROOT / "conf") for p in (ROOT / "conf").rglob("*.yaml")} == {
        p.relative_to(target / "mtl/conf") for p in (target / "mtl/conf").rglob("*.yaml")
    }
    (tmp_path / "r.csv").write_text("text,label\n" + "".join(f"word{i} {i % 2},{'yn'[i % 2]}\n" for i in range(100)))
    (tmp_path / "mine.yaml").write_text("kind: classification\nsource: r.csv\n")
    words = ["train", "task=[mine.yaml]", "steps=2", "trainer.progress=false", "tracking.system_every=0"]
    code = f"import mtl, sys; assert {str(target)!r} in mtl.__file__; from mtl.cli.main import main; main({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mine accuracy" in done.stdout
