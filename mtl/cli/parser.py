"""The parser of all commands: what is asked wrongly is one line."""

import argparse
from typing import NoReturn

from mtl.errors import MtlError


class Parser(argparse.ArgumentParser):
    """Argparse's own, which would print the usage, several lines long, before what is wrong."""

    def error(self, message: str) -> NoReturn:
        """MtlError that names the option, and where all are listed."""
        raise MtlError(f"{message} ({self.prog} --help lists what there is)")
