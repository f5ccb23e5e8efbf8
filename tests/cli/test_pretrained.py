"""Pretrained trunks from the command line: trained, recorded, asked again; and what is refused before training."""

import json
import shutil

import pytest
import torch

pytest.importorskip("transformers", reason="the extra llm is not installed")
pytest.importorskip("peft", reason="the extra llm is not installed")

from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.filterwarnings("ignore")
TASKS = "task=[./reviews.yaml,names.yaml]"
TRUNKS = {"bert": "hf_encoder", "llama": "hf_decoder"}


@pytest.fixture(params=[("bert", "frozen"), ("bert", "full"), ("llama", "lora")], ids="-".join)
def words(request, tiny_model):
    kind, tuning = request.param
    return f"trunk={TRUNKS[kind]}", f"trunk.name={tiny_model(kind)}", f"trunk.tuning={tuning}"


def run_id(done):
    assert done.code == 0, done.err
    return done.out.split("run ")[-1].split(")")[0]


def test_a_pretrained_trunk_trains_on_texts_and_tokens_and_answers_again(mtl, folder, words):
    run = run_id(mtl("train", TASKS, "prompt=keyword", *words))
    said = mtl("predict", run, "--json", "Anna loves a nice book", "hate")
    assert said.code == 0, said.err
    first, second = map(json.loads, said.out.splitlines())
    assert len(first["names"]["answer"]) == 5
    assert second["reviews"]["answer"] in ("good", "bad")
    (checkpoint,) = folder.glob("outputs/*/*/checkpoints/last.ckpt")
    kept = torch.load(checkpoint, weights_only=True)
    trained = [name for name in kept["state_dict"] if name.startswith("model.trunk.")]
    tuning = words[2].split("=")[1]
    assert {"frozen": not trained, "full": len(trained) > 20, "lora": all("lora_" in name for name in trained)}[tuning]
    assert kept["mtl"]["vocabulary"]["pretrained"] == words[1].split("=")[1]
    again = mtl("train", TASKS, "prompt=keyword", *words)
    assert "in the record already" in again.out


def test_mlflow_loads_the_model_and_answers_alike(mtl, folder, tiny_model):
    import mlflow
    import pandas as pd

    run = run_id(mtl("train", TASKS, "trunk=hf_encoder", f"trunk.name={tiny_model('bert')}"))
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    try:
        given = mlflow.pyfunc.load_model(f"runs:/{run}/model").predict(pd.DataFrame({"text": ["a sad book"]}))
    finally:
        mlflow.set_tracking_uri(None)
    said = json.loads(mtl("predict", run, "--json", "a sad book").out)
    assert given.answer[0] == said["reviews"]["answer"]
    assert given.probability[0] == said["reviews"]["probability"]


def test_another_model_in_the_folder_is_another_run_and_refused_by_the_first(mtl, folder, tiny_model):
    shutil.copytree(tiny_model("bert"), folder / "model")
    words = ("train", "task=./reviews.yaml", "trunk=hf_encoder", "trunk.name=./model")
    run = run_id(mtl(*words))
    other = torch.zeros(4)

    weights = load_file(folder / "model" / "model.safetensors") | {
        "bert.embeddings.LayerNorm.bias": other.new_zeros(32)
    }
    save_file(weights, folder / "model" / "model.safetensors", metadata={"format": "pt"})
    refused = mtl("predict", run, "nice")
    assert refused.code == 2
    assert "the run was trained on ./model with the digest" in refused.err
    assert "in the record already" not in mtl(*words).out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "trunk.name should be a folder, or owner/name of a model of the Hugging Face hub. Found None"),
        (("trunk.name=./gone",), "there is no folder ./gone"),
        (("trunk.name=./empty",), "./empty should have its weights as *.safetensors. Found none"),
        (("trunk.name=./pickled",), "Found pytorch_model.bin, a pickle, which can run code"),
        (
            ("trunk.name=./bert", "data.max_length=65"),
            "data.max_length should be at most 64, the positions of the trunk",
        ),
        (("trunk.name=./bert", "trunk.tuning=some"), "`tuning` should be frozen, full, lora. Found 'some'"),
        (("trunk.name=./bert", "trunk.train_from=1"), "`train_from` needs tuning=full or lora. Found train_from=1"),
        (
            ("trunk.name=./bert", "trunk.tuning=lora", "trunk.train_from=7"),
            "`train_from` should be null or a layer from 0 to 1. Found 7",
        ),
        (("trunk.name=./llama",), "./llama is a decoder (llama): take trunk=hf_decoder"),
        (
            ("trunk.name=./bert", "prompt=phrase", "data.max_length=6"),
            "should leave room for a text after the prompt's",
        ),
    ],
)
def test_what_cannot_train_is_one_line_before_training(mtl, folder, tiny_model, given, message):
    for kind in ("bert", "llama"):
        (folder / kind).symlink_to(tiny_model(kind))
    for name in ("empty", "pickled"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"")
    done = mtl("train", "task=./reviews.yaml", "trunk=hf_encoder", *given)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_minilm_learns_english_reviews_from_few_steps(mtl, minilm):
    words = ("train", "task=./reviews.yaml", "trunk=minilm", "steps=60", "eval_every=60", "optimizer.lr=0.01")
    done = mtl(*words)
    assert done.code == 0, done.err
    assert float(done.out.split("accuracy ")[1].split()[0]) > 0.9


def test_a_prompt_that_no_head_would_hear_of_is_one_line(mtl, tiny_model):
    decoder = ("trunk=hf_decoder", f"trunk.name={tiny_model('llama')}", "trunk.pooling=first", "prompt=soft")
    done = mtl(
        "train", "task=[./reviews.yaml]", *decoder, "prompt/text=keyword", "prompt.slot=before", "prompt.length=2"
    )
    assert done.code == 2
    said = "mtl: trunk: pooling should be last, mean or max: task reviews's prompt stands behind the first token"
    assert said in done.err
