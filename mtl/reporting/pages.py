"""Self-contained pages of HTML: one head for all, and a template of a folder, filled in, with the style of most."""

import html
from pathlib import Path
from typing import Any


def head(title: str, style: str) -> str:
    """What every page has above its body; it forbids the browser scripts and whatever comes from elsewhere."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
"""


def render(folder: Path, title: str, style: str = "", **values: Any) -> str:
    """`page.html` of the folder below the head. Every value is escaped.

    Args:
        folder: of the template.
        title: of the page, for the template too.
        style: CSS of this page beside that of all.
        values: for the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return head(title, css + style) + pages.get_template("page.html").render(values, title=title)
