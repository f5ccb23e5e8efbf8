"""What we write in peft's format, loaded by peft on a fresh model of transformers."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
peft = pytest.importorskip("peft", reason="the extra llm is not installed")

from mtl.cli import peft_folder  # noqa: E402
from mtl.data.batch import Batch, TaskRows  # noqa: E402
from mtl.data.kinds import Classification  # noqa: E402
from mtl.data.task import Task  # noqa: E402
from mtl.data.tokenizer import PretrainedTokenizer  # noqa: E402
from mtl.errors import MtlError  # noqa: E402
from mtl.model.multitask import MultiTaskModel  # noqa: E402
from mtl.model.pretrained.trunk import Pretrained  # noqa: E402
from mtl.model.prompt.attentional import Attentional  # noqa: E402
from mtl.model.prompt.feature_vector import FeatureVector  # noqa: E402
from mtl.model.prompt.multitask import Multitask  # noqa: E402
from mtl.model.prompt.prefix import Prefix  # noqa: E402
from mtl.model.prompt.reparam import Reparam  # noqa: E402
from mtl.model.prompt.soft import Soft  # noqa: E402
from mtl.prompts.none import NoPrompt  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
DECODERS = ("gpt2", "llama", "qwen2")
PLACES = {"mood": 3, "size": 5}
TABLES = {
    "soft": lambda: Soft(NoPrompt(), PLACES),
    "shared": lambda: Soft(NoPrompt(), 3, shared=True),
    "reparam": lambda: Reparam(NoPrompt(), PLACES, hidden=4),
    "multitask": lambda: Multitask(NoPrompt(), 4, rank=2),
    "prefix": lambda: Prefix(NoPrompt(), PLACES, init="random"),
}
close = {"atol": 1e-5, "rtol": 1e-5}


def trained(folder, causal, table=None, **options):
    """A model of two tasks with everything that trains away from its start, the tasks, and a run's configuration."""
    torch.manual_seed(0)
    trunk = Pretrained(0, False, str(folder), causal, pooling="mean", **options)
    tasks = {name: Task(name, Classification(("a", "b", "c")), (), "", "accuracy") for name in PLACES}
    if table is not None:
        table.make(trunk, tasks, PretrainedTokenizer(str(folder)), 0)
    model = MultiTaskModel(trunk, {name: task.kind for name, task in tasks.items()}, prompt=table)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn(parameter.shape)
    config = {"trunk": {"pooling": "mean"}, "prompt": {"_target_": "none"}, "data": {"max_length": 64}}
    return model.eval(), tasks, config


def own(folder, auto="AutoModel"):
    return getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32).eval()


def batch(task, lengths):
    torch.manual_seed(1)
    ids = torch.randint(5, 25, (len(lengths), max(lengths)))
    return Batch(ids, torch.tensor(lengths), {task: TaskRows(None, torch.zeros(len(lengths)))})


def mask_of(asked):
    return (torch.arange(asked.ids.shape[1]) < asked.lengths[:, None]).long()


@pytest.mark.parametrize("kind", [*DECODERS, "bert"])
@pytest.mark.parametrize("family", TABLES)
def test_peft_gives_each_task_the_same_states_and_logits(tiny_model, tmp_path, kind, family):
    folder, table = tiny_model(kind), TABLES[family]()
    model, tasks, config = trained(folder, kind in DECODERS, table)
    made = peft_folder.write(tmp_path, model, tasks, config)
    assert made == [tmp_path / name for name in tasks]
    for name, path in zip(tasks, made, strict=True):
        theirs = peft.PeftModel.from_pretrained(own(folder), path).eval()
        assert theirs.peft_config["default"].num_virtual_tokens == table.places(name)
        skipped = 0 if family == "prefix" else table.places(name)
        head = load_file(path / "heads.safetensors")
        for lengths in ((7, 7), (3, 7, 1, 5)):
            asked = batch(name, lengths)
            there = mask_of(asked)
            states = theirs(input_ids=asked.ids, attention_mask=there).last_hidden_state[:, skipped:]
            torch.testing.assert_close(model.prompt(model.trunk, asked)[there.bool()], states[there.bool()], **close)
            mean = (states * there[..., None]).sum(1) / there.sum(1, keepdim=True)
            logits = mean @ head[f"{name}.weight"].T + head[f"{name}.bias"]
            torch.testing.assert_close(model(asked)[name], logits, **close)
    other = [load_file(path / "adapter_model.safetensors")["prompt_embeddings"] for path in made]
    assert torch.equal(*other) == (family == "shared")


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("family", ["soft", "prefix"])
def test_a_decoder_that_answers_in_words_is_a_causal_language_model_there(tiny_model, tmp_path, kind, family):
    folder, table = tiny_model(kind), TABLES[family]()
    model, tasks, config = trained(folder, True, table, language_model=True)
    path = peft_folder.write(tmp_path, model, tasks, config)[1]
    theirs = peft.PeftModel.from_pretrained(own(folder, "AutoModelForCausalLM"), path).eval()
    assert isinstance(theirs, peft.PeftModelForCausalLM)
    asked = batch("size", (3, 7, 1, 5))
    there = mask_of(asked)
    found = theirs(input_ids=asked.ids, attention_mask=there).logits[:, 0 if family == "prefix" else 5 :]
    expected = model.trunk.answer(model.prompt(model.trunk, asked))
    torch.testing.assert_close(found[there.bool()], expected[there.bool()], **close)


@pytest.mark.parametrize("start", [None, 1])
@pytest.mark.parametrize(("kind", "speaks"), [("gpt2", True), ("llama", False), ("qwen2", True), ("bert", False)])
def test_adapters_load_in_one_folder_for_all_tasks(tiny_model, tmp_path, kind, speaks, start):
    folder, options = tiny_model(kind), {"tuning": "lora", "lora_rank": 2, "train_from": start}
    model, tasks, config = trained(folder, kind in DECODERS, language_model=speaks, **options)
    assert peft_folder.write(tmp_path, model, tasks, config) == [tmp_path]
    bare = own(folder, "AutoModelForCausalLM" if speaks else "AutoModel")
    asked = batch("mood", (3, 7, 1, 5))
    there = mask_of(asked)

    def read(found):
        return (found.logits if speaks else found.last_hidden_state)[there.bool()]

    before = read(bare(input_ids=asked.ids, attention_mask=there))
    after = read(peft.PeftModel.from_pretrained(bare, tmp_path).eval()(input_ids=asked.ids, attention_mask=there))
    states = model.trunk(asked.ids, asked.lengths)
    expected = (model.trunk.answer(states) if speaks else states)[there.bool()]
    torch.testing.assert_close(after, expected, **close)
    assert (before - after).abs().max() > 0.01
    adapters = load_file(tmp_path / "adapter_model.safetensors").keys()
    assert any(".0." in name for name in adapters) == (start is None)
    assert {f"{name}.weight" for name in tasks} < load_file(tmp_path / "heads.safetensors").keys()


def test_twenty_tokens_on_minilm_are_kilobytes(minilm, tmp_path):
    from mtl.data.pretrained import locate

    model, tasks, config = trained(minilm, False, Soft(NoPrompt(), 20))
    path = peft_folder.write(tmp_path, model, tasks, config)[0]
    assert (path / "adapter_model.safetensors").stat().st_size < 20 * 384 * 4 + 200
    theirs = peft.PeftModel.from_pretrained(own(locate(minilm)), path).eval()
    asked = batch("mood", (3, 7, 1, 5))
    there = mask_of(asked).bool()
    states = theirs(input_ids=asked.ids, attention_mask=mask_of(asked)).last_hidden_state[:, 20:]
    torch.testing.assert_close(model.prompt(model.trunk, asked)[there], states[there], **close)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (lambda: Attentional(NoPrompt(), 2), {}, "prompt attentional is another one for each text"),
        (lambda: FeatureVector(NoPrompt(), 2, features="embedding"), {}, "prompt feature_vector is another one"),
        (lambda: Soft(NoPrompt(), 2, slot="end"), {}, "Found slot=end"),
        (lambda: Soft(NoPrompt(), 2), {"tuning": "lora"}, "Found both"),
        (lambda: Soft(NoPrompt(), 2), {"tuning": "full"}, "the trunk itself was trained"),
        (lambda: None, {}, "neither a learned prompt nor LoRA"),
    ],
)
def test_what_peft_has_not_is_said_in_one_line_and_nothing_is_written(tiny_model, tmp_path, table, options, message):
    model, tasks, config = trained(tiny_model("llama"), True, table(), **options)
    with pytest.raises(MtlError) as stopped:
        peft_folder.write(tmp_path / "out", model, tasks, config)
    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "out").exists()


def test_without_the_package_it_is_one_line_too(tiny_model, tmp_path, monkeypatch):
    given = trained(tiny_model("bert"), False, Soft(NoPrompt(), 2))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MtlError, match=r"the package peft is not installed; pip install 'mtl\[llm\]'"):
        peft_folder.write(tmp_path / "out", *given)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_folder_for_each_task(mtl, folder, tiny_model):
    trunk = ("trunk=hf_encoder", f"trunk.name={tiny_model('bert')}", "steps=2", "eval_every=2")
    words = ("task=./reviews.yaml", "prompt=soft", "prompt.length=4", "prompt/text=keyword")
    done = mtl("train", *trunk, *words)
    assert done.code == 0, done.err
    run = done.out.split("run ")[-1].split(")")[0]
    done = mtl("prompt", "export", run, "--format", "peft", "--output", "out")
    assert (done.code, done.out.split(":")[0]) == (0, "out/reviews")
    theirs = peft.PeftModel.from_pretrained(own(tiny_model("bert")), folder / "out" / "reviews")
    assert theirs.peft_config["default"].num_virtual_tokens == 4
    about = json.loads((folder / "out/reviews/mtl.json").read_text())
    assert (about["pooling"], about["tasks"][0]["keywords"]) == ("mean", ["stars", "rating"])
    assert about["text"]["prompt"].endswith("Keyword")
    done = mtl("prompt", "export", run, "--format", "peft", "--output", "out.safetensors")
    assert (done.code, "should be a folder for --format peft" in done.err) == (2, True)
    done = mtl("prompt", "export", run_of_lstm(mtl), "--format", "peft")
    assert (done.code, "peft adapts models of transformers. Found trunk lstm" in done.err) == (2, True)


def test_a_decoder_that_says_its_answers_is_written_with_its_tasks_and_without_heads(mtl, folder, tiny_model):
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}", "head=generation", "steps=1", "eval_every=1")
    done = mtl("train", *trunk, "task=./reviews.yaml", "prompt=soft", "prompt.length=4", "data.max_length=48")
    assert done.code == 0, done.err
    run = done.out.split("run ")[-1].split(")")[0]
    done = mtl("prompt", "export", run, "--format", "peft", "--output", "out")
    assert done.code == 0, done.err
    about = json.loads((folder / "out/reviews/mtl.json").read_text())
    assert about["tasks"][0]["kind"] == {"name": "classification", "labels": ["bad", "good"]}
    assert load_file(folder / "out/reviews/heads.safetensors") == {}
    done = mtl("context-switch", run)
    assert (done.code, "says its answers; mtl context-switch scores label words" in done.err) == (2, True)


def run_of_lstm(mtl):
    done = mtl("train", "task=./reviews.yaml", "steps=1", "eval_every=1")
    return done.out.split("run ")[-1].split(")")[0]
