"""The help of `mtl train` with the comments of `conf/` on its values."""

import contextlib
import io
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mtl.cli.conf import conf_dir

_FIELD = re.compile(r"(?P<indent> *)(?P<key>\w+):.*?(?: # (?P<comment>.+))?")


@contextlib.contextmanager
def commented(words: Sequence[str]) -> Generator[None, None, None]:
    """Each value that is printed meanwhile gets the comment on its field, in `conf/config.yaml` or in the file of the
    option that was chosen, and each group what its option is.
    """
    comments = {path: comment for _, path, comment in _fields_of(conf_dir() / "config.yaml") if comment}
    chosen = _chosen(words)
    groups = {group.replace("/", ".") for group in chosen}
    for group, option in chosen.items():
        comments |= dict(_of_option(group, option))
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            yield
    finally:  # Hydra exits once it has shown the help
        for line, path, _ in fields(printed.getvalue().splitlines()):
            listed = path in groups and not line.endswith(":")  # all options of a group
            print(f"{line} # {comments[path]}" if path in comments and not listed else line)


def fields(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Each line of a YAML text, the dotted path of the field in it and its comment; empty where there is none."""
    above: list[tuple[int, str]] = []
    for line in lines:
        if (match := _FIELD.fullmatch(line)) is None:
            yield line, "", ""
            continue
        indent = len(match["indent"])
        above = [*((at, key) for at, key in above if at < indent), (indent, match["key"])]
        yield line, ".".join(key for _, key in above), match["comment"] or ""


def _fields_of(file: Path) -> Iterator[tuple[str, str, str]]:
    return fields(file.read_text(encoding="utf-8").splitlines())


def _of_option(group: str, option: str) -> Iterator[tuple[str, str]]:
    """Paths and comments of an option's file; the one at its head is on the group. None of files that are not ours, and
    of those that say where their fields stand.
    """
    file, node = conf_dir() / group / f"{option}.yaml", group.replace("/", ".")
    if not file.is_file():
        return
    lines = list(_fields_of(file))
    head = lines[0][0]
    if head.startswith("# @package"):
        return
    if head.startswith("# "):
        yield node, f"{option}: {head.removeprefix('# ')}"
    yield from ((f"{node}.{path}", comment) for _, path, comment in lines if comment)


def _chosen(words: Sequence[str]) -> Mapping[str, str]:
    """The option of each group; none where they can't be composed, of which Hydra will tell."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
            found = compose("config", [word for word in words if word[:1] != "-"], return_hydra_config=True)
    except HydraException:
        return {}
    return {str(group): str(option) for group, option in found.hydra.runtime.choices.items()}
