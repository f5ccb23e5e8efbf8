"""A frozen trunk's features on disk: the trunk's own, whoever wrote them and whatever happened to the writer."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtl.errors import MtlError
from mtl.model import cache
from mtl.model.base import Trunk
from mtl.model.cache import Cached, Known, Reader, Texts, look_up
from mtl.model.cache_file import find_or_make

WIDTH = 6


class Sums(Trunk):
    """A trunk whose features of a token are its row of a table, plus that of the tokens before it."""

    width = WIDTH

    def __init__(self, seed=0):
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.randn(50, WIDTH, generator=torch.manual_seed(seed)))
        self.runs = 0

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        self.runs += 1
        return self.table(ids).cumsum(1)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        return features[torch.arange(len(features)), lengths - 1] / lengths[:, None]


def rows(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 50, rng.integers(1, 12)).astype(np.int32) for _ in range(count)]


def places(folder, trunk, texts, per_token=False, key=("a",), said=None):
    said, reader = [] if said is None else said, Reader(trunk, "tokens" if per_token else "texts", "cpu", None)
    return Known(look_up(folder, "m", key, Texts(texts), reader, said.append), reader)


def padded(texts):
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
    for line, text in zip(ids, texts, strict=True):
        line[: len(text)] = torch.from_numpy(text)
    return ids, lengths


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("at_once", [1, 30, 4096])
def test_looked_up_features_are_the_trunks(tmp_path, monkeypatch, per_token, at_once):
    monkeypatch.setattr(cache, "PLACES", at_once)
    trunk, texts = Sums(), rows()
    cached = Cached(trunk, places(tmp_path, trunk, texts, per_token))
    runs = trunk.runs
    for chosen in ([3], [5, 0, 5, 17], list(range(40))):
        ids, lengths = padded([texts[row] for row in chosen])
        features = cached(ids, lengths)
        assert trunk.runs == runs
        expected = trunk(ids, lengths)
        runs = trunk.runs
        torch.testing.assert_close(cached.pool(features, lengths), trunk.pool(expected, lengths))
        if per_token:
            real = torch.arange(ids.shape[1]) < lengths[:, None]
            torch.testing.assert_close(features[real], expected[real])
            assert not features[~real].any()


@pytest.mark.parametrize("per_token", [False, True])
def test_a_text_that_is_not_there_is_read_by_the_trunk(tmp_path, per_token):
    trunk, texts = Sums(), rows()
    cached = Cached(trunk, places(tmp_path, trunk, texts, per_token))
    ids, lengths = padded([texts[0], np.array([7, 7, 7, 7, 7, 7, 7], np.int32)])
    expected = trunk.pool(trunk(ids, lengths), lengths)
    torch.testing.assert_close(cached.pool(cached(ids, lengths), lengths), expected)


def test_the_file_depends_on_the_texts_and_not_on_their_order(tmp_path):
    trunk, texts = Sums(), rows()
    places(tmp_path / "a", trunk, texts)
    places(tmp_path / "b", trunk, [*reversed(texts), texts[3]])
    (first,), (second,) = (tmp_path / "a").glob("*.npy"), (tmp_path / "b").glob("*.npy")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_other_texts_or_another_key_are_another_file(tmp_path):
    trunk, said = Sums(), []
    for texts, key in ((rows(), "a"), (rows(), "a"), (rows(seed=1), "a"), (rows(), "b")):
        places(tmp_path, trunk, texts, key=(key,), said=said)
    assert ["running" in line for line in said] == [True, False, True, True]
    assert len(list(tmp_path.glob("*.npy"))) == 3


def damage(path, how):
    whole = path.read_bytes()
    if how == "of another model":
        np.save(path, np.ones_like(np.load(path)))
    elif how == "of another shape":
        np.save(path, np.load(path)[:-1])
    elif how == "pickled":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes({"cut": whole[:-4], "empty": b"", "text": b"hello"}[how])


@pytest.mark.parametrize("how", ["cut", "empty", "text", "pickled", "of another shape", "of another model"])
def test_a_broken_file_is_made_again(tmp_path, how):
    trunk, texts, said = Sums(), rows(), []
    places(tmp_path, trunk, texts)
    (path,) = tmp_path.glob("*.npy")
    whole = path.read_bytes()
    damage(path, how)
    places(tmp_path, trunk, texts, said=said)
    assert path.read_bytes() == whole
    assert said[0].endswith("the file that was there is broken or of another model")


WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import numpy as np
    from mtl.model.cache_file import find_or_make

    def blocks(again):
        print("began", flush=True)
        for number in range(10):
            yield np.full((1, 3), number)
            time.sleep(float(sys.argv[2]))

    found = find_or_make(Path(sys.argv[1]), (10, 3), blocks, lambda array: True)
    print(found.sum())
    """
)


def writer(path, pause):
    return subprocess.Popen([sys.executable, "-c", WRITER, path, str(pause)], stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_writes_and_both_read(tmp_path):
    both = [writer(tmp_path / "f.npy", 0.05) for _ in range(2)]
    printed = sorted(process.communicate(timeout=60)[0].split() for process in both)
    assert printed == [["135.0"], ["began", "135.0"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.lock", "f.npy"]


def test_a_killed_writer_leaves_nothing_broken(tmp_path):
    killed = writer(tmp_path / "f.npy", 60)
    assert killed.stdout.readline() == "began\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "f.npy").exists()
    assert (tmp_path / "f.part").exists()
    assert writer(tmp_path / "f.npy", 0).communicate(timeout=60)[0].split() == ["began", "135.0"]
    assert not (tmp_path / "f.part").exists()


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def blocks(again):
        yield np.zeros((1, 3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_or_make(tmp_path / "f.npy", (10, 3), blocks, lambda array: True)
    assert [path.name for path in tmp_path.iterdir()] == ["f.lock"]


def test_a_folder_without_room_is_one_line(tmp_path):
    with pytest.raises(MtlError, match=r"trunk.cache needs [\d,.]+ MB in .* Found [\d,.]+ MB free"):
        find_or_make(tmp_path / "f.npy", (10**9, 10**6), lambda again: [], lambda array: True)


def test_a_folder_that_can_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MtlError, match="can't be written"):
        find_or_make(tmp_path / "file" / "f.npy", (1, 1), lambda again: [], lambda array: True)
