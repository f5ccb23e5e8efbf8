"""A decoder in a GGUF file: a tiny Llama written as llama.cpp does, read again to the same logits and tokens."""

import json

import numpy as np
import pytest
import torch

from mtl.data import gguf as ours
from mtl.data.pretrained import digest, locate
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.errors import MtlError
from mtl.model.pretrained.trunk import Pretrained

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
gguf = pytest.importorskip("gguf", reason="the extra llm is not installed")
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
}
TEXTS = ["the book was good", " a story about  the\nbad", "nice! <unk> 1234 ünd"]


def name_of(key):
    parts = key.removeprefix("model.").removesuffix(".weight").split(".")
    block = f"blk.{parts[1]}." if parts[0] == "layers" else ""
    return f"{block}{NAMES['.'.join(parts[2:] if block else parts)]}.weight"


def turned(weight, heads):
    """llama.cpp turns neighbouring numbers of a head, transformers the two halves of it."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write(folder, path, without=None):
    """The model in `folder` as a GGUF file, in float32."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_token_list(pieces)
    writer.add_token_types([3 if piece in tokenizer.all_special_tokens else 1 for piece in pieces])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.unk_token_id)
    writer.add_pad_token_id(tokenizer.eos_token_id)
    for key, weight in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
        numbers = weight.numpy()
        if name_of(key) != without:
            writer.add_tensor(name_of(key), np.ascontiguousarray(turned(numbers, heads) if heads else numbers))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/mtl/gguf"


@pytest.fixture
def llama(tiny_model, tmp_path):
    folder = tiny_model("llama")
    return folder, str(write(folder, tmp_path / "tiny.gguf"))


def test_the_logits_are_those_of_the_model_that_was_written(llama):
    folder, name = llama
    ids = torch.randint(5, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = transformers.AutoModelForCausalLM.from_pretrained(folder)(ids).logits
        trunk = Pretrained(0, False, name, causal=True, language_model=True)
        found = trunk.answer(trunk(ids, torch.tensor([9, 9])))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert trunk.max_length == 64


def test_texts_are_cut_as_before_and_come_back(llama):
    folder, name = llama
    before, found = PretrainedTokenizer(str(folder)), PretrainedTokenizer(name)
    for text in TEXTS:
        assert found.encode(text).tolist() == before.encode(text).tolist()
        assert found.decode(found.encode(text)) == text
    assert (found.stop, found.unknown) == (before.stop, before.unknown)


def test_it_is_unpacked_once_and_has_the_digest_of_the_file(llama, cache, tmp_path, monkeypatch, capsys):
    _, name = llama
    folder = locate(name)
    assert folder == cache / digest(folder)
    assert f"unpacking tiny.gguf into {folder}, once" in capsys.readouterr().err
    assert {path.name for path in cache.iterdir()} == {folder.name, f"{folder.name}.lock"}
    monkeypatch.setattr(ours, "_write", None)
    assert locate(name) == folder
    state = PretrainedTokenizer(name).state()
    assert PretrainedTokenizer.from_state(state).digest == digest(folder)
    (tmp_path / "tiny.gguf").open("ab").write(b"more")
    with pytest.raises(TypeError):  # other bytes, another folder
        locate(name)


def test_what_a_killed_process_left_is_no_model(llama, cache):
    _, name = llama
    folder = locate(name)
    folder.rename(folder.with_suffix(".part"))
    (folder.with_suffix(".part") / "model.safetensors").write_bytes(b"half")
    assert (locate(name) / "model.safetensors").stat().st_size > 1000


def test_what_is_wrong_is_one_line(tiny_model, tmp_path, cache):
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(MtlError, match=r"text\.gguf can't be loaded: "):
        locate(str(tmp_path / "text.gguf"))
    with pytest.raises(MtlError, match=r"there is no file \./nowhere\.gguf"):
        locate("./nowhere.gguf")
    with pytest.raises(MtlError, match=r"lacks\.gguf lacks weights, such as model\.layers\.1\.mlp\.up_proj\.weight"):
        locate(str(write(tiny_model("llama"), tmp_path / "lacks.gguf", without="blk.1.ffn_up.weight")))
    cache.parent.joinpath("gguf").rename(tmp_path / "away")
    cache.write_text("no folder")
    with pytest.raises(MtlError, match=r"text\.gguf can't be unpacked into .*: File exists"):
        locate(str(tmp_path / "text.gguf"))
