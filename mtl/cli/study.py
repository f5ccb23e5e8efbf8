"""A study: a folder with what it runs, the arguments of its table, and what is expected of it."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mtl
from mtl.errors import MtlError, choices

FILE, TABLE, SCRIPT = "study.yaml", "table.yaml", "run.py"
TABLE_FIELDS = {"rows": list, "columns": list, "digits": int, "percent": bool, "better": dict}


@dataclass(frozen=True)
class Study:
    """One study.

    Args:
        folder: where its files are.
        shows: one line on what it shows.
        minutes: measured, of the whole study on one core.
        built: how its table comes about, one line.
        sweeps: the sweep files of the folder, each with the overrides of its quick version; none for a script.
        experiment: name in the record that the sweeps write to.
        table: arguments of the table: rows, columns, digits, percent; `better` (max or min by column) for a script.
    """

    folder: Path
    shows: str
    minutes: float
    built: str
    sweeps: Mapping[str, Sequence[str]]
    experiment: str
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.folder.name

    def key(self, quick: bool) -> str:
        """Another one when a file of the script or the version of mtl changes."""
        files = sorted(self.folder.glob("*.py"))
        parts = [mtl.__version__.encode(), bytes([quick]), *(file.name.encode() + file.read_bytes() for file in files)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


FIELDS = ("shows", "minutes", "built", "sweeps", "experiment")


def studies_dir() -> Path:
    """The studies that the project brings: inside the installed package, or beside it in a checkout."""
    package = Path(mtl.__file__).parent
    folders = (package / "experiments", package.parent / "experiments")
    return next((folder for folder in folders if folder.is_dir()), folders[1])


def find(folder: Path) -> list[str]:
    """The names of the studies in a folder."""
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))


def load(name: str, folder: Path) -> Study:
    """A study by its name, or by its path where the name has a slash; MtlError says what is wrong with its files."""
    path = Path(name) if "/" in name else folder / name
    if not (path / FILE).is_file():
        if "/" in name:
            raise MtlError(f"study: there is no {path / FILE}")
        there = find(folder)
        near = difflib.get_close_matches(name, there, n=3)
        hint = f"Did you mean {choices(near)}?" if near else f"There is: {', '.join(there) or 'none'} in {folder}"
        raise MtlError(f"study: '{name}' is no study. {hint}")
    path = path.resolve()
    where = f"{path.name}/{FILE}"
    node = _fields(path / FILE, where, FIELDS)
    for field in ("shows", "minutes"):
        if node.get(field) is None:
            raise MtlError(f"{where}: the field {field} is missing")
    if isinstance(node["minutes"], bool) or not isinstance(node["minutes"], int | float) or node["minutes"] < 0:
        raise MtlError(f"{where}: minutes should be a number of 0 or more. Found {node['minutes']!r}")
    sweeps, script = node.get("sweeps") or {}, (path / SCRIPT).is_file()
    if not isinstance(sweeps, Mapping) or not all(isinstance(words, list) for words in sweeps.values()):
        raise MtlError(f"{where}: sweeps should map each file to the list of its quick overrides. Found {sweeps!r}")
    if missing := [file for file in sweeps if not (path / file).is_file()]:
        raise MtlError(f"{where}: sweeps: there is no file {missing[0]} in {path}")
    if bool(sweeps) == script:
        found = "both" if script else "neither"
        raise MtlError(f"{where}: a study has sweeps, or a script {SCRIPT}. Found {found}")
    if script and not path.name.isidentifier():
        raise MtlError(f"study: the name of a folder with a script should be letters, digits, _. Found '{path.name}'")
    if bool(sweeps) != bool(node.get("experiment")):
        raise MtlError(f"{where}: experiment names the record of sweeps, and of them alone")
    table = _fields(path / TABLE, f"{path.name}/{TABLE}", tuple(TABLE_FIELDS)) if (path / TABLE).is_file() else {}
    for field, value in table.items():
        if not isinstance(value, TABLE_FIELDS[field]):
            raise MtlError(f"{path.name}/{TABLE}: {field} should be a {TABLE_FIELDS[field].__name__}. Found {value!r}")
    if wrong := [value for value in table.get("better", {}).values() if value not in ("max", "min")]:
        raise MtlError(f"{path.name}/{TABLE}: better should be max or min. Found '{wrong[0]}'")
    quick = {file: [f"{word}".replace("STUDY", str(path)) for word in words] for file, words in sweeps.items()}
    built = str(node.get("built") or ("mtl table" if sweeps else SCRIPT))
    return Study(path, str(node["shows"]), node["minutes"], built, quick, str(node.get("experiment") or ""), table)


def _fields(path: Path, where: str, allowed: Sequence[str]) -> dict[str, Any]:
    """A YAML of known fields."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        node = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise MtlError(f"{where} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(node, dict):
        raise MtlError(f"{where} should hold the fields {choices(allowed)}")
    if unknown := [field for field in node if field not in allowed]:
        raise MtlError(f"{where}: the fields are {choices(allowed)}. Found '{unknown[0]}'")
    return {str(field): value for field, value in node.items()}


def planned(study: Study) -> int:
    """How many runs its sweeps have."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    total = 0
    for file in study.sweeps:
        params = OmegaConf.select(OmegaConf.load(study.folder / file), "hydra.sweeper.params") or {}
        jobs = 1
        for override in OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()]):
            jobs *= len(list(override.sweep_string_iterator())) if override.is_sweep_override() else 1
        total += jobs
    return total
