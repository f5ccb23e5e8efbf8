"""Configuration files: the project's own folder, and single files of the user's named on the command line."""

import contextlib
import re
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

import mtl
from mtl.errors import MtlError

_FILE = re.compile(r"[^\[\],='\"]+\.ya?ml")
_SEARCHPATH = "hydra.searchpath="
_OVERRIDE = re.compile(r"(?P<key>[~+]*/?[\w@./-]+)=(?P<value>.*)", re.DOTALL)


def conf_dir() -> Path:
    """The folder of the options: inside the installed package, or beside it in a checkout."""
    package = Path(mtl.__file__).parent
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


@contextlib.contextmanager
def with_files(overrides: Sequence[str]) -> Generator[list[str], None, None]:
    """Overrides in which a group's option may be a YAML file anywhere: `task=[zh_sentiment,./mine.yaml]`.

    Such a file is laid into a folder of its own on Hydra's search path, so that from there on it is an option like
    any other: it can be swept over and its fields overridden. A task's file also gets its name, the folder that its
    paths are relative to, and its place in the configuration.
    """
    with tempfile.TemporaryDirectory(prefix="mtl-conf-") as folder:
        kept, staged, searched = [], False, ""
        for override in overrides:
            if override.startswith("tasks."):  # a field that the task's file leaves out can be given all the same
                override = f"++{override}"
            if override.startswith(_SEARCHPATH):
                searched = override.removeprefix(_SEARCHPATH).strip("[]")
            match = _OVERRIDE.fullmatch(override)
            if match is None or not _FILE.search(match["value"]) or not _is_group(match["key"]):
                kept.append(override)
                continue
            group = match["key"].lstrip("+~/").partition("@")[0]
            names = _FILE.sub(lambda found, group=group: _stage(found[0], group, Path(folder)), match["value"])
            kept.append(f"{match['key']}={names}")
            staged = True
        if staged:
            kept = [override for override in kept if not override.startswith(_SEARCHPATH)]
            kept.append(f"{_SEARCHPATH}[{searched}{',' if searched else ''}file://{folder}]")
        yield kept


def _is_group(key: str) -> bool:
    return (conf_dir() / key.lstrip("+~/").partition("@")[0]).is_dir()


def _stage(word: str, group: str, folder: Path) -> str:
    """Lay one file into the folder; its option's name."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    path = Path(word.strip().strip("'\"")).expanduser().resolve()
    if not path.is_file():
        raise MtlError(f"{group}: there is no file {word.strip()}; options of {group}: {', '.join(options(group))}")
    name = path.stem
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise MtlError(f"{group}: the name of {path.name} should be of letters from a to z, digits, _ and -")
    if not isinstance(OverridesParser.create().parse_override(f"{group}={name}").value(), str):
        raise MtlError(f"{group}: the name of {path.name} is read as a value, not as a name; rename the file")
    if name in options(group):
        raise MtlError(f"{group}: {path.name} has the name of an option that mtl brings; rename the file")
    text = path.read_text(encoding="utf-8")
    if group == "task":
        text = f"# @package tasks.{name}\n_base_: {str(path.parent)!r}\n{text}"
    target = folder / group / f"{name}.yaml"
    if target.exists() and target.read_text(encoding="utf-8") != text:
        raise MtlError(f"{group}: two different files are named {path.name}; rename one")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return name


def options(group: str) -> list[str]:
    """The options of a group that the project brings."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
