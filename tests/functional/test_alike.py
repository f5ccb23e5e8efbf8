import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.alike import alike


def test_by_hand():
    one_long = torch.tensor([2] * 8 + [50] + [2] * 7)
    short, long = alike(one_long)
    assert one_long[short].tolist() == [2] * 8
    assert sorted(one_long[long].tolist()) == [2] * 7 + [50]
    assert [part.tolist() for part in alike(torch.tensor([9] * 16))] == [list(range(16))]
    assert len(alike(torch.tensor([1] * 14 + [90]))) == 1  # 15 rows are no two parts of 8


@given(st.lists(st.integers(1, 60), min_size=1, max_size=70))
def test_every_row_is_in_one_part_and_parts_are_worth_it(lengths):
    known = torch.tensor(lengths)
    parts = alike(known)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))
    if len(parts) > 1:
        assert min(map(len, parts)) >= 8
        assert sum(len(part) * known[part].max() for part in parts) <= 0.9 * len(lengths) * max(lengths)
