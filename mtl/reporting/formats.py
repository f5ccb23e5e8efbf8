"""A table as text, Markdown, LaTeX, CSV or HTML."""

import csv
import html
import io

from mtl.errors import MtlError, choices
from mtl.reporting.layout import Layout, lay_out
from mtl.reporting.markup import Markup
from mtl.reporting.table import Table
from mtl.reporting.terminal import to_text

FORMATS = ("text", "markdown", "latex", "csv", "html")

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "Δ": r"$\Delta$", "–": "--"}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "σ": r"$\sigma$", "α": r"$\alpha$", "γ": r"$\gamma$"}
)


_MARKDOWN = Markup(
    lambda text: html.escape(text, quote=False).replace("|", "\\|").replace("*", "\\*"),
    lambda text: f"**{text}**",
    lambda mark: f"<sup>{mark}</sup>",
)
_LATEX_MARKUP = Markup(
    lambda text: text.replace("Δm", "\0").translate(_LATEX).replace("\0", r"$\Delta_m$"),
    lambda text: rf"\textbf{{{text}}}",
    lambda mark: rf"\textsuperscript{{{mark}}}",
)
_HTML = Markup(html.escape, lambda text: f"<b>{text}</b>", lambda mark: f"<sup>{mark}</sup>")


def render(table: Table, form: str = "text", *, digits: int | None = None, percent: bool = True) -> str:
    """The table in one of `FORMATS`; CSV has full precision and fractions whatever `digits` and `percent` say."""
    if form == "csv":
        return to_csv(table)
    return render_layout(lay_out(table, digits=digits, percent=percent), form)


def render_layout(layout: Layout, form: str) -> str:
    """A layout in one of `FORMATS` but CSV."""
    written = {"text": to_text, "markdown": to_markdown, "latex": to_latex, "html": to_html}
    if form not in written:
        raise MtlError(f"format should be {choices(FORMATS)}. Found '{form}'")
    return written[form](layout)


def to_csv(table: Table) -> str:
    """One line a cell: the row's keys, the column, its numbers and what is wrong with them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ends = ["low", "high"] if table.spread == "interval" else []
    writer.writerow([*table.keys, "column", "mean", "standard_error", "n", "seeds", "notes", *ends])
    for names, cells in zip(table.rows, table.cells, strict=True):
        for column, cell in zip(table.columns, cells, strict=True):
            seeds = " ".join(map(str, cell.seeds))
            notes = "; ".join(cell.notes)
            interval = (cell.interval or ("", "")) if ends else ()
            writer.writerow([*names, column.key, cell.mean, cell.error, cell.n, seeds, notes, *interval])
    return out.getvalue()


def to_markdown(layout: Layout) -> str:
    """GitHub's table; names to the left, numbers to the right."""
    rule = [":--"] * len(layout.keys) + ["--:"] * len(layout.headers)
    lines = [f"| {' | '.join(line)} |" for line in (_MARKDOWN.header(layout), rule, *_MARKDOWN.rows(layout))]
    below = [_MARKDOWN.escape(layout.caption), *_MARKDOWN.notes(layout)]
    return "\n".join(lines) + "\n\n" + "<br>\n".join(below) + "\n"


def to_latex(layout: Layout) -> str:
    """A floating table with the rules of booktabs."""
    head, *body = [" & ".join(line) + r" \\" for line in (_LATEX_MARKUP.header(layout), *_LATEX_MARKUP.rows(layout))]
    # a bracket at the beginning of a line would be an argument of the line end before it
    body = [f"{{}}{line}" if line.startswith("[") else line for line in body]
    notes = [rf"\par{{\footnotesize {note}}}" for note in _LATEX_MARKUP.notes(layout)]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_LATEX_MARKUP.escape(layout.caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(layout.keys)}{'r' * len(layout.headers)}}}",
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"),
            *notes,
            r"\end{table}",
            "",
        ]
    )


def to_html(layout: Layout) -> str:
    """A fragment with its own style."""
    head = "".join(f"<th>{name}</th>" for name in _HTML.header(layout))
    tags = ["th"] * len(layout.keys) + ["td"] * len(layout.headers)
    rows = [zip(tags, row, strict=True) for row in _HTML.rows(layout)]
    body = ["<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for tag, cell in row) + "</tr>" for row in rows]
    style = (
        ".mtl{border-collapse:collapse;font:14px sans-serif}.mtl caption{caption-side:bottom;text-align:left}"
        ".mtl th,.mtl td{padding:3px 10px;text-align:right}.mtl tbody th{text-align:left;font-weight:normal}"
        ".mtl thead{border-top:2px solid;border-bottom:1px solid}.mtl tbody{border-bottom:2px solid}"
    )
    caption = "<br>".join([_HTML.escape(layout.caption), *_HTML.notes(layout)])
    return "\n".join(
        [
            *(f"<style>{style}</style>", f'<table class="mtl"><caption>{caption}</caption>'),
            *(f"<thead><tr>{head}</tr></thead>", "<tbody>", *body, "</tbody></table>", ""),
        ]
    )
