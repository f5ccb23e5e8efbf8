"""Label words from the command line."""

import json

import pytest
import torch

pytest.importorskip("transformers", reason="the extra llm is not installed")
pytest.importorskip("peft", reason="the extra llm is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
REVIEWS = ("train", "task=./reviews.yaml", "head=cloze", "steps=4", "eval_every=4")
MASKED = ("prompt=phrase", "tasks.reviews.phrase='{text} it is {mask}.'")


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_cloze_head_trains_by_lora_and_answers_again(mtl, folder, tiny_model, kind):
    trunk = (f"trunk=hf_{'encoder' if kind == 'bert' else 'decoder'}", f"trunk.name={tiny_model(kind)}")
    words = "head.words={reviews:{good:[good,nice],bad:[bad,terrible]}}"
    done = mtl(*REVIEWS, *trunk, *(MASKED if kind == "bert" else ()), "trunk.tuning=lora", words)
    assert done.code == 0, done.err
    run = done.out.split("run ")[-1].split(")")[0]
    (checkpoint,) = folder.glob("outputs/*/*/checkpoints/last.ckpt")
    kept = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert kept["model.heads.reviews.prior"].abs().sum() > 0
    assert all("lora_" in name or name == "model.heads.reviews.prior" for name in kept if name.startswith("model."))
    said = json.loads(mtl("predict", run, "--json", "a good book").out)["reviews"]
    assert said["answer"] in ("good", "bad")
    assert 0.5 <= said["probability"] <= 1


def test_words_are_said_by_layers_that_train_under_a_weighting_that_takes_gradients(mtl, folder, tiny_model):
    trunk = ("trunk=hf_encoder", f"trunk.name={tiny_model('bert')}", "trunk.tuning=full", "trunk.train_from=0")
    done = mtl(*REVIEWS, *MASKED, *trunk, "head.words={reviews:{good:unnice,bad:bad}}", "weighting=mgda")
    assert done.code == 0, done.err
    (checkpoint,) = folder.glob("outputs/*/*/checkpoints/last.ckpt")
    names = [name for name in torch.load(checkpoint, weights_only=True)["state_dict"] if "trunk" in name]
    assert {name.split(".layer.")[0] for name in names} == {"model.trunk.backbone.encoder"}


@pytest.mark.parametrize("options", [("prompt.slot=before",), ("prompt.length=60", "data.max_length=62")])
def test_texts_without_content_are_announced_and_cut_as_all_texts_are(mtl, folder, tiny_model, options):
    """Prompt, text and label word have the trunk's 64 positions among them."""
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}", "prompt=soft")
    done = mtl(*REVIEWS, *trunk, "head.words={reviews:{good:good nice bad,bad:bad}}", *options)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "prompt",
    [
        "suffix prompt.length=3",
        "soft prompt.length=2 prompt.slot=after prompt/text=keyword",
        "feature_vector prompt.length=2 prompt.slot=before prompt/text=keyword",
    ],
)
def test_learned_prompts_go_with_label_words_of_a_frozen_decoder(mtl, folder, tiny_model, prompt):
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('llama')}", "data.max_length=48")
    done = mtl(*REVIEWS, *trunk, *f"prompt={prompt}".split())
    assert done.code == 0, done.err
    run = done.out.split("run ")[-1].split(")")[0]
    (file,) = (folder / "mlartifacts").rglob(f"{run}/**/prompt.safetensors")
    expected, found = (mtl("predict", model, "--json", "a good book").out for model in (run, str(file)))
    assert expected == found != ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("trunk=lstm",), "head=cloze needs a trunk with a language model"),
        (("trunk=hf_encoder", "trunk.name=./bert"), "head=cloze needs a prompt that says once where the word stands"),
        (("trunk=hf_encoder", "trunk.name=./bert", *MASKED), "nothing trains: the trunk is frozen"),
        (("trunk=hf_decoder", "trunk.name=./llama", "head.words={x:{a:b}}"), "head.words should name tasks of the run"),
        (
            ("trunk=hf_encoder", "trunk.name=./bare", *MASKED, "head.bias=true"),
            "./bare lacks its weights for answering with words",
        ),
        (
            ("trunk=hf_decoder", "trunk.name=./llama", "data.max_length=64", "head.bias=true"),
            "data.max_length and the longest label word should be at most 64",
        ),
        (
            ("trunk=hf_encoder", "trunk.name=./bert", *MASKED, "trunk.tuning=full", "weighting=mgda"),
            "would not see; take trunk.tuning=lora or trunk.train_from=0",
        ),
    ],
)
def test_what_cannot_say_words_is_one_line_before_training(mtl, folder, tiny_model, given, message):
    for kind in ("bert", "llama"):
        (folder / kind).symlink_to(tiny_model(kind))
    (folder / "bare").symlink_to(tiny_model("bert", language_model=False))
    words = () if any("words" in word for word in given) else ("head.words={reviews:{good:unnice,bad:bad}}",)
    done = mtl(*REVIEWS, *given, *words)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_frozen_model_without_a_learning_rate_is_a_zero_shot_run(mtl, folder, tiny_model):
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('llama')}", "head.bias=true", "optimizer.lr=0")
    assert mtl(*REVIEWS, *trunk).code == 0
    (checkpoint,) = folder.glob("outputs/*/*/checkpoints/last.ckpt")
    assert not torch.load(checkpoint, weights_only=True)["state_dict"]["model.heads.reviews.bias"].any()
