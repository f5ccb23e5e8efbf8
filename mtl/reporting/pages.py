"""Self-contained pages of HTML: a template of a folder, filled in, with the one style of all pages."""

from pathlib import Path
from typing import Any


def render(folder: Path, **values: Any) -> str:
    """`page.html` of the folder. Every value is escaped; the template forbids scripts and addresses from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return pages.get_template("page.html").render(values, style=style)
