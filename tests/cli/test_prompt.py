"""Learned prompts by the command: what is separate stays separate, and what is saved is what was trained."""

import math

import pytest
import torch
from mlflow import MlflowClient
from safetensors import safe_open
from safetensors.torch import save_file

FROZEN = (
    "prompt=soft",
    "prompt.length=4",
    "trunk=transformer",
    "trunk.frozen=true",
    "optimizer=adamw",
    "head.dropout=0",
)


@pytest.fixture
def two(folder):
    """Two tasks on the same rows."""
    text = (folder / "reviews.yaml").read_text()
    (folder / "again.yaml").write_text(text.replace("label: stars", "label: stars\nlabels: [good, bad]"))
    return "task=[./reviews.yaml,./again.yaml]"


def weights(folder, run):
    (found,) = (folder / "mlartifacts").rglob(f"{run}/**/last.ckpt")
    return torch.load(found, weights_only=True)["state_dict"]


def run_of(done):
    assert done.code == 0, done.err
    return done.out.split("run ")[-1].split(")")[0]


def test_with_separate_prompts_on_a_frozen_trunk_company_changes_nothing(mtl, folder, two):
    together = weights(folder, run_of(mtl("train", two, *FROZEN, "reduction=sum")))
    fresh = weights(folder, run_of(mtl("train", two, *FROZEN, "reduction=sum", "steps=1", "eval_every=1")))
    for task in ("reviews", "again"):
        alone = weights(folder, run_of(mtl("train", two, *FROZEN, "switching=single", f"switching.task={task}")))
        for name, value in alone.items():
            if name.startswith("model."):
                torch.testing.assert_close(together[name], value, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(together[row := f"model.prompt.rows.{task}.vectors"], fresh[row], atol=1e-3)


def recorded(folder, run):
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return client.get_run(run).data.metrics["model/saved_parameters"]


MEMBERS = {
    "soft": 20,
    "reparam": 20,
    "feature_vector prompt.features=tfidf prompt.bottleneck=4 prompt/text=keyword": 200,
    "multitask": 20,
    "attentional": 100,
    "prefix prompt.init=random": 40,
    "soft weighting=cosmos weighting.condition=8 optimizer.lr=0.1": 20,
}
"""Prompts, and a bound in KiB on a file with its configuration and vocabulary: the trunk has 1.6 MB."""


@pytest.mark.parametrize(("prompt", "kilobytes"), MEMBERS.items())
def test_a_prompt_file_answers_as_the_run_did_on_a_fresh_trunk(mtl, folder, two, prompt, kilobytes):
    words = [*FROZEN[1:], *f"prompt={prompt}".split(), "data.max_length=48"]
    run = run_of(mtl("train", two, *words))
    (file,) = (folder / "mlartifacts").rglob(f"{run}/**/prompt.safetensors")
    text = "a nice book it is great"
    expected = mtl("predict", run, "--json", text)
    found = mtl("predict", str(file), "--json", text)
    assert (found.code, found.out) == (0, expected.out)
    exported = mtl("prompt", "export", run, "--output", "mine.safetensors")
    assert exported.code == 0, exported.err
    assert (folder / "mine.safetensors").read_bytes() == file.read_bytes()
    assert file.stat().st_size < kilobytes * 1024
    with safe_open(file, "pt") as opened:
        saved = [opened.get_slice(name).get_shape() for name in opened.keys() if name[:8] != "payload."]  # noqa: SIM118
    assert recorded(folder, run) == sum(map(math.prod, saved))


def test_what_a_prompt_file_cannot_be(mtl, folder, two):
    trained = run_of(mtl("train", two, "prompt=soft", "prompt.length=3"))
    done = mtl("prompt", "export", trained)
    assert (done.code, "the trunk was trained too" in done.err) == (2, True)
    done = mtl("prompt", "export", run_of(mtl("train", two, "prompt=keyword")))
    assert (done.code, "no learned prompt" in done.err) == (2, True)
    frozen = run_of(mtl("train", two, *FROZEN))
    assert mtl("prompt", "export", frozen).code == 0
    with safe_open("prompt.safetensors", "pt") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, "other.safetensors", {"mtl": about["mtl"].replace('"seed": 0', '"seed": 1')})
    done = mtl("predict", "other.safetensors", "text")
    assert (done.code, "another trunk" in done.err) == (2, True)
    short = {name: value for name, value in tensors.items() if name != "heads.reviews.1.bias"}
    save_file(short, "short.safetensors", about)
    done = mtl("predict", "short.safetensors", "text")
    assert (done.code, "short.safetensors lacks heads.reviews.1.bias: export it again" in done.err) == (2, True)
    save_file(tensors, "foreign.safetensors")
    done = mtl("predict", "foreign.safetensors", "text")
    assert (done.code, "is not a prompt file of mtl" in done.err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["soft prompt.init=keywords", "prefix prompt.length={reviews:3,again:5}"])
def test_a_pretrained_trunk_is_not_in_the_prompt_file_and_is_found_again(mtl, folder, two, prompt):
    words = ("trunk=minilm", *f"prompt={prompt}".split(), "steps=4", "eval_every=4", "batch_size=4")
    run = run_of(mtl("train", two, *words))
    (file,) = (folder / "mlartifacts").rglob("prompt.safetensors")
    assert file.stat().st_size < 200 * 1024
    expected, found = (mtl("predict", model, "--json", "a nice book").out for model in (run, str(file)))
    assert expected == found != ""
