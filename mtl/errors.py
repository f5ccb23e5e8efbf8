"""The one kind of error that a user caused: shown as a single line, without a traceback."""

from collections.abc import Iterable

ASKED_WRONGLY = 2
"""The code that a process leaves with after one."""


class MtlError(Exception):
    """A wrong option, a missing file or a broken row: names the field, the value found and what is allowed."""


def choices(names: Iterable[str]) -> str:
    """`a, b or c`, for the end of an error message."""
    listed = list(names)
    return " or ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)
