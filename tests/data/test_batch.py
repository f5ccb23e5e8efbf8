"""One padded block for all tasks of a step."""

import numpy as np
import pytest
import torch

from mtl.data.batch import collate
from mtl.data.kinds.tagging import IGNORED
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt


def test_tasks_that_share_inputs_share_the_rows_they_both_ask_for(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    rows = {"mood": np.array([5, 1, 2]), "stars": np.array([2, 7, 5]), "tags": np.array([1])}
    batch = collate(rows, tasks)
    assert len(batch.ids) == len({1, 2, 5, 7})
    for name, asked in rows.items():
        share, inputs = batch.tasks[name], tasks[name].inputs
        for place, row in zip(share.inputs, asked, strict=True):
            width = batch.ids.shape[1]
            assert batch.ids[place].tolist() == inputs.pad(np.array([row]), width)[0].tolist()
            assert batch.lengths[place] == inputs.lengths[row]
    assert batch.tasks["mood"].targets.tolist() == [int(tasks["mood"].labelled.targets[row]) for row in (5, 1, 2)]


def test_tasks_whose_prompts_differ_share_nothing(four_kinds, announced):
    tasks, _ = announced(four_kinds(), Keyword())
    rows = np.array([3, 4])
    batch = collate(dict.fromkeys(tasks, rows), tasks)
    assert len(batch.ids) == 4 * len(rows)
    assert len({tuple(line) for line in batch.ids.tolist()}) == 4 * len(rows)


def test_inputs_are_shared_exactly_where_the_announcement_is(four_kinds, announced):
    alike, _ = announced(four_kinds(), NoPrompt())
    apart, _ = announced(four_kinds(), Keyword())
    assert len({id(task.inputs) for task in alike.values()}) == 1
    assert len({id(task.inputs) for task in apart.values()}) == 4


def test_tasks_on_other_rows_of_one_file_do_not_share_inputs(four_kinds, announced):
    """`on_error=skip` leaves rows out of one task's corpus: its row 1 is not the other's row 1."""
    from dataclasses import replace

    from mtl.data.corpus import Row

    mood, stars, *_ = four_kinds()
    mood.source.found.insert(0, Row({}, "a.csv", 1, "train", "the row is broken"))
    skipping = replace(mood, on_error="skip")
    sound = replace(stars.source, found=stars.source.found[1:])
    tasks, _ = announced([skipping, replace(stars, source=sound)])
    assert tasks["mood"].labelled.corpus is not tasks["stars"].labelled.corpus
    assert tasks["mood"].inputs is not tasks["stars"].inputs


def test_every_input_in_order_needs_no_index(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    batch = collate({"mood": np.array([1, 4, 6]), "stars": np.array([4])}, tasks)
    assert batch.tasks["mood"].inputs is None
    assert batch.tasks["stars"].inputs.tolist() == [1]


def test_a_row_asked_for_twice_is_read_once(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    batch = collate({"mood": np.array([4, 4, 1])}, tasks)
    assert len(batch.ids) == 2
    assert batch.tasks["mood"].inputs.tolist() == [1, 1, 0]
    assert len(batch.tasks["mood"].targets) == 3


def test_the_block_is_as_wide_as_its_longest_row(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    rows = np.array([2, 8, 9])
    batch = collate({"tags": rows}, tasks)
    assert batch.ids.shape == (3, int(tasks["tags"].inputs.lengths[rows].max()))
    for line, length in zip(batch.tasks["tags"].targets, batch.lengths, strict=True):
        assert (line[length:] == IGNORED).all()
        assert (line[:length] != IGNORED).all()


def test_moves_to_a_device_whole(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    batch = collate({"mood": np.array([1, 2]), "stars": np.array([2])}, tasks).to(torch.device("meta"))
    tensors = [batch.ids, batch.lengths, batch.tasks["stars"].inputs, *(rows.targets for rows in batch.tasks.values())]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert batch.tasks["mood"].inputs is None


def test_rows_without_a_label_are_never_asked_for(literal, announced):
    from mtl.data.task import TaskSpec

    source = literal(list("abcdef"), label=["x", None, "y", "x", "x", "y"])
    tasks, _ = announced([TaskSpec("t", "classification", source, on_error="skip")])
    with pytest.raises(AssertionError):
        collate({"t": np.array([1])}, tasks)
