"""Images as texts, held to Pillow, which reads and writes the same format."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mtl.data.encoder import encoder_from
from mtl.data.inputs import Inputs
from mtl.data.pixels import HEAD, Pixels, is_image, to_uri
from mtl.errors import MtlError

BLANKS = np.frombuffer(b" \n\t\r\x0b\x0c", np.uint8)
"""Bytes that separate the words of the header, and may be pixels too."""


@pytest.fixture
def image():
    found = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    found.flat[:6], found.flat[-6:] = BLANKS, BLANKS
    return found


def test_pillow_reads_what_is_written(image):
    text = to_uri(image)
    assert is_image(text)
    assert not is_image("a text")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(text[len(HEAD) :])))), image)


def test_what_pillow_writes_is_read_as_pixels_row_by_row(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PPM")
    ids = Pixels(5, 7).encode(HEAD + base64.b64encode(stream.getvalue()).decode())
    np.testing.assert_array_equal(ids, image.ravel())
    assert ids.dtype == np.int32


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a review", "Found the text 'a review'"),
        (HEAD + "?", "PGM in base64"),
        (HEAD + base64.b64encode(b"P5 7 5").decode(), "PGM in base64"),
        (HEAD + base64.b64encode(b"P6 7 5 255\n" + bytes(35)).decode(), "P5 and 255"),
        (HEAD + base64.b64encode(b"P5 7 5 15 \n" + bytes(35)).decode(), "P5 and 255"),
        (HEAD + base64.b64encode(b"P5 7 5 255\n" + bytes(34)).decode(), "7 x 5 pixels. Found 7 x 5 with 34 values"),
        (HEAD + base64.b64encode(b"P5 \xff 5 255\n" + bytes(35)).decode(), "7 x 5 pixels. Found \ufffd x 5 with 35"),
        (to_uri(np.zeros((7, 5), np.uint8)), "7 x 5 pixels. Found 5 x 7 with 35 values"),
    ],
)
def test_what_is_no_image_of_that_size_is_refused_in_one_line(text, words):
    with pytest.raises(MtlError) as refused:
        Pixels(5, 7).encode(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_image_is_never_cut_and_takes_no_prompt(image):
    text = to_uri(image)
    inputs = Inputs.build([text, text], None, lambda _: ("", ""), Pixels(5, 7), max_length=3)
    assert inputs.lengths.tolist() == [35, 35]
    assert inputs.truncated == 0
    for announce, virtual in ((lambda _: ("sort:", ""), 0), (lambda _: ("", "it is"), 0), (lambda _: ("", ""), 4)):
        with pytest.raises(MtlError, match="take prompt=none"):
            Inputs.build([text], None, announce, Pixels(5, 7), 100, virtual)
    with pytest.raises(MtlError, match="not lists of tokens"):
        Inputs.build([text], [["a"]], lambda _: ("", ""), Pixels(5, 7), 100)


def test_comes_back_from_a_checkpoint():
    assert encoder_from(Pixels(5, 7).state()) == Pixels(5, 7)
