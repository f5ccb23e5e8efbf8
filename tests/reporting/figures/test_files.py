"""Files are valid, hold their words as text, and are the same bytes for the same records."""

import io
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from mtl.reporting.figures import figure
from mtl.reporting.figures.style import chinese_font


def saved(drawing, form):
    file = io.BytesIO()
    drawing.savefig(file, format=form)
    return file.getvalue()


@pytest.fixture
def drawing(grid):
    frame = grid.frame.replace({"tags.mtl.prompt": {"none": "无提示", "keyword": "$a_b^"}})
    return figure("sweep", frame[frame["tags.mtl.switching"] == "joint"])


def test_svg_is_xml_with_its_words_as_text(drawing):
    words = {element.text for element in ET.fromstring(saved(drawing, "svg")).iter() if element.text}
    assert {"无提示", "$a_b^", "pcgrad", "51.00 ± 0.58"} <= words


def test_pdf_and_png_begin_as_they_should(drawing):
    pdf = saved(drawing, "pdf")
    assert pdf.startswith(b"%PDF-")
    assert b"/CreationDate" not in pdf
    assert b"/FontType 3" not in pdf
    assert saved(drawing, "png").startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_same_records_give_the_same_bytes_whatever_the_user_s_settings(grid, form):
    first = saved(figure("front", grid.frame), form)
    with mpl.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": "x", "svg.fonttype": "path"}):
        assert saved(figure("front", grid.frame), form) == first


def test_widths_are_those_of_papers(grid):
    assert figure("front", grid.frame, width="column").get_figwidth() == pytest.approx(3.4)
    assert figure("front", grid.frame).get_figwidth() == pytest.approx(7.0)


def test_notebooks_show_it(grid):
    assert figure("ranks", grid.frame)._repr_png_().startswith(b"\x89PNG")


def test_warns_once_where_no_font_has_the_letters(drawing, monkeypatch, caplog):
    from mtl.reporting.figures import style

    monkeypatch.setattr(style, "chinese_font", lambda: None)
    saved(drawing, "png")
    assert "no font with Chinese letters" in caplog.text


@pytest.mark.skipif(chinese_font() is None, reason="no font with Chinese letters here")
def test_chinese_letters_have_glyphs(drawing, recwarn):
    for form in ("png", "pdf"):
        saved(drawing, form)
    assert not [warning for warning in recwarn if "missing from" in str(warning.message)]


def test_a_legend_of_chinese_names_stays_inside(curves):
    names = {"uncertainty": "按照任务的不确定性来给出权重", "pcgrad": "把互相冲突的梯度分量都投影掉"}
    frame = curves.frame.replace({"tags.mtl.weighting": names})
    drawing = figure("losses", frame, history=curves.history, width="column")
    drawing.canvas.draw()
    box = drawing.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= drawing.bbox.x1
