"""The help of `mtl train` with the comments of `conf/config.yaml` on its values."""

import contextlib
import io
import re
from collections.abc import Generator, Iterable, Iterator

from mtl.cli.conf import conf_dir

_FIELD = re.compile(r"(?P<indent> *)(?P<key>\w+):.*?(?: # (?P<comment>.+))?")


@contextlib.contextmanager
def commented() -> Generator[None, None, None]:
    """Each value that is printed meanwhile gets the comment that `conf/config.yaml` has on its field."""
    file = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    comments = {path: comment for _, path, comment in fields(file.splitlines()) if comment}
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            yield
    finally:  # Hydra exits once it has shown the help
        for line, path, _ in fields(printed.getvalue().splitlines()):
            print(f"{line} # {comments[path]}" if path in comments else line)


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
