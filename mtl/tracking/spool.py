"""All that a run writes, line by line in a file of its folder, so that nothing is lost where the store is away."""

import contextlib
import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAME, POSITION, REFUSED = "spool.jsonl", "spool.delivered", "spool.refused.jsonl"
Item = list[Any]
"""What is written, by its first word: `metrics, ms, step, {name: value}`, `params, {}`, `tags, {}`, `text, path, text`,
`file, path, folder`, `dataset, name, digest, context, profile`, `begin`, `end, status, ms`. nan and inf stay whole."""


class Spool:
    """The open spool of a folder, held alone: BlockingIOError where another process has it.

    A line without its end (the process was killed while it wrote) is cut away.

    Args:
        folder: of the run.
        header: of a new spool: `uri`, `experiment`, `name`, `tags`, `start` (ms), `run_id` if it is known.
        patience: seconds to wait for another holder.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any] | None = None, patience: float = 0) -> None:
        self.path, self._lock = folder / NAME, threading.Lock()
        self._file = _held(self.path, header is not None, time.monotonic() + patience)
        self.size = _whole(self.path)
        if self.size < self._file.seek(0, os.SEEK_END):
            self._file.truncate(self.size)
        if not self.size and header is not None:
            self.append(["run", {"id": uuid.uuid4().hex, **header}])
        self.header: dict[str, Any] = next(iter(read(self.path)))[0][1] if self.size else {}
        self.state: dict[str, Any] = position(folder) | {}
        if not 0 <= self.state.setdefault("offset", 0) <= self.size:
            self.state["offset"] = 0  # all again: what is there already is not written twice
        self.state.setdefault("run_id", self.header.get("run_id", ""))

    def append(self, item: Item) -> None:
        """Add one line; on return it outlives the process."""
        line = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            self.size += len(line)

    def waiting(self) -> Iterator[tuple[Item, int]]:
        """What is not delivered, and where in the file each item ends."""
        return read(self.path, self.state["offset"])

    def keep(self, **state: Any) -> None:
        """Note how far delivery has come."""
        self.state |= state
        new = self.path.with_name(f".{POSITION}.new")
        new.write_text(json.dumps(self.state), encoding="utf-8")
        new.replace(self.path.with_name(POSITION))

    def refuse(self, item: Item, reason: str) -> None:
        """Lay aside what the store will never take."""
        with self.path.with_name(REFUSED).open("a", encoding="utf-8") as file:
            file.write(json.dumps([*item, reason], ensure_ascii=False) + "\n")

    @property
    def ended(self) -> bool:
        """Whether the run said that it ended, and did not begin again."""
        return [item[0] for item, _ in read(self.path) if item[0] in ("run", "begin", "end")][-1:] == ["end"]

    @property
    def delivered(self) -> bool:
        """Whether nothing waits."""
        return self.state["offset"] >= self.size

    def remove(self) -> None:
        """Leave nothing of a spool that is delivered, but for what `written` says of a run that was cut off."""
        kept = _kept(self.path.parent, self.state["run_id"])
        if [item[1] for item, _ in read(self.path) if item[0] == "end"][-1:] == ["KILLED"]:
            with kept.open("ab") as file:
                file.write(self.path.read_bytes())
        else:
            kept.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.with_name(POSITION).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def read(path: Path, offset: int = 0) -> Iterator[tuple[Item, int]]:
    """The whole lines of a spool from `offset`, and where each ends. A line that is no JSON is passed over."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                item = json.loads(line)
            except ValueError:
                item = ["unreadable", line.decode(errors="replace")]
            yield item, offset


def position(folder: Path) -> dict[str, Any]:
    """How far a spool was delivered: `offset`, `run_id`; empty where nothing was."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / POSITION).read_text(encoding="utf-8"))
    return {}


def written(folder: Path, run_id: str) -> dict[tuple[str, int], str]:
    """The value (as text) that the folder's run wrote last at each metric and step, before it was cut off."""
    files = [file for file in (_kept(folder, run_id), folder / NAME) if file.exists()]
    items = [item for file in files for item, _ in read(file) if item[0] == "metrics"]
    return {(name, step): str(value) for _, _, step, values in items for name, value in values.items()}


def _kept(folder: Path, run_id: str) -> Path:
    return folder / f"spool.{run_id}.jsonl"


def points(folder: Path) -> int:
    """Metric points that wait in a folder's spool."""
    waiting = read(folder / NAME, position(folder).get("offset", 0))
    return sum(len(item[3]) for item, _ in waiting if item[0] == "metrics")


def _whole(path: Path) -> int:
    """Length up to the end of the last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size:
            start = max(size - 65536, 0)
            file.seek(start)
            if (end := file.read(size - start).rfind(b"\n")) >= 0:
                return start + end + 1
            size = start
    return 0


def _held(path: Path, create: bool, until: float) -> Any:
    """The file, open to append and locked; a file that was removed while we waited is not the one to write to."""
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
        file = os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
            file.close()
        except BlockingIOError:
            file.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
