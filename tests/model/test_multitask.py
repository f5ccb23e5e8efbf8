"""Trunks and heads on mixed, padded batches."""

from unittest.mock import patch

import numpy as np
import pytest
import torch

from mtl.data.batch import collate
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.model.transformer import Transformer
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt

SIZE = 40
TRUNKS = {
    f"lstm-{'both' if both else 'one'}-{pooling}": lambda both=both, pooling=pooling: LSTM(
        SIZE, False, units=8, embedding=6, bidirectional=both, pooling=pooling
    )
    for both in (False, True)
    for pooling in ("last", "mean", "max")
}
TRUNKS["transformer"] = lambda: Transformer(SIZE, False, max_length=30, width=8, attention_heads=2, feedforward=16)


@pytest.fixture(params=TRUNKS)
def trunk(request):
    torch.manual_seed(0)
    return TRUNKS[request.param]().eval()


def padded(rows, width):
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = row
    return ids, torch.tensor([len(row) for row in rows])


@pytest.mark.parametrize("grad", [True, False])
def test_padding_and_company_never_change_a_rows_features(trunk, grad):
    rows = [torch.randint(2, SIZE, (length,)) for length in (1, 4, 9, 2)]
    with torch.set_grad_enabled(grad):
        ids, lengths = padded(rows, 14)
        ids[0, 5:] = 7  # what stands behind a row's length changes nothing, padding or not
        together = trunk(ids, lengths)
        texts = trunk.pool(together, lengths)
        for i, row in enumerate(rows):
            length = torch.tensor([len(row)])
            alone = trunk(row[None], length)
            torch.testing.assert_close(together[i, : len(row)], alone[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(texts[i], trunk.pool(alone, length)[0], atol=1e-5, rtol=1e-5)


def test_features_have_the_declared_width(trunk):
    features = trunk(*padded([torch.tensor([3, 4, 5])], 5))
    assert features.shape == (1, 5, trunk.width)


@pytest.mark.parametrize("prompt", [NoPrompt(), Keyword()], ids=["shared", "apart"])
def test_a_mixed_batch_equals_the_batch_of_each_task(trunk, prompt, four_kinds, announced):
    tasks, _ = announced(four_kinds(), prompt)
    model = MultiTaskModel(trunk, {name: task.labelled.task.kind for name, task in tasks.items()}).eval()
    generator = np.random.default_rng(0)
    rows = {name: generator.choice(60, size, replace=False) for name, size in zip(tasks, (5, 1, 8, 4), strict=True)}
    rows = {name: [row for row in asked if task_has(tasks[name], row)] for name, asked in rows.items()}
    rows = {name: np.array(asked) for name, asked in rows.items()}
    mixed = model(collate(rows, tasks))
    for name, asked in rows.items():
        alone = model(collate({name: asked}, tasks))[name]
        found = mixed[name][:, : alone.shape[1]]
        if model.per_token[name]:
            lengths = tasks[name].inputs.lengths[asked]
            found, alone = (
                torch.cat([row[:n] for row, n in zip(all_, lengths, strict=True)]) for all_ in (found, alone)
            )
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def task_has(task, row):
    return task.labelled.targets[row] is not None


def test_the_trunk_is_called_once_a_batch_on_distinct_inputs(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    model = MultiTaskModel(TRUNKS["lstm-one-max"](), {name: task.labelled.task.kind for name, task in tasks.items()})
    with patch.object(model.trunk, "forward", wraps=model.trunk.forward) as called:
        model(collate({name: np.array([3, 1, 2]) for name in tasks}, tasks))
    assert called.call_count == 1
    assert len(called.call_args.args[0]) == 3


def test_outputs_have_the_shape_of_their_kind(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    model = MultiTaskModel(TRUNKS["lstm-both-last"](), {name: task.labelled.task.kind for name, task in tasks.items()})
    batch = collate({name: np.array([3, 1, 2]) for name in tasks}, tasks)
    L = batch.ids.shape[1]
    shapes = {name: tuple(output.shape) for name, output in model(batch).items()}
    assert shapes == {"mood": (3, 2), "stars": (3, 1), "topics": (3, 2), "tags": (3, L, 2)}


def test_two_directions_follow_the_tagging_of_the_run_and_keep_the_width():
    one, both = LSTM(SIZE, per_token=False, units=8), LSTM(SIZE, per_token=True, units=8)
    assert (one.width, both.width) == (8, 8)
    assert one.backwards is None
    assert both.backwards is not None


def test_two_directions_are_torchs_bidirectional_lstm_on_packed_rows():
    torch.manual_seed(0)
    ours = LSTM(SIZE, False, units=8, embedding=6, bidirectional=True)
    theirs = torch.nn.LSTM(6, 4, batch_first=True, bidirectional=True)
    theirs.load_state_dict(
        dict(ours.forwards.state_dict()) | {f"{k}_reverse": v for k, v in ours.backwards.state_dict().items()}
    )
    ids, lengths = padded([torch.randint(2, SIZE, (length,)) for length in (7, 5, 1)], 7)
    packed = torch.nn.utils.rnn.pack_padded_sequence(ours.embedding(ids), lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = ours(ids, lengths)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(found[i, :length], expected[i, :length])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(SIZE, False, pooling="first"), "`pooling` should be last, mean, max. Found 'first'"),
        (lambda: LSTM(SIZE, True, units=7), "`units` should be positive, and even for two directions. Found 7"),
        (lambda: LSTM(SIZE, False, units=0), "`units` should be positive"),
        (lambda: Transformer(SIZE, False, width=9, attention_heads=2), r"should divide `width` \(9\). Found 2"),
    ],
)
def test_a_wrong_option_stops_at_the_constructor(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_row_longer_than_the_learned_positions_is_an_error():
    trunk = Transformer(SIZE, False, max_length=4, width=8)
    with pytest.raises(ValueError, match=r"`max_length` should be at least the longest input, 5. Found 4"):
        trunk(torch.ones(1, 5, dtype=torch.long), torch.tensor([5]))
