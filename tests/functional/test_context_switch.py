"""The measures of a switch in context against numbers worked out by hand."""

import math

import pytest
import torch

from mtl.functional.context_switch import performance_change, sensitivities, strays, switch_cost


def test_performance_changes_by_percent_of_what_it_was():
    assert performance_change(0.6, 0.8) == pytest.approx(-25)
    assert performance_change(0.9, 0.6) == pytest.approx(50)
    assert math.isnan(performance_change(0.1, 0.0))


def test_the_three_sensitivities_are_those_of_a_calculation_by_hand():
    # two rows, three labels; the history changes the answer of the second row from 2 to 0, and the truth is 1 in both
    before = torch.tensor([[0.2, 0.5, 0.1], [0.1, 0.3, 0.4]]).log()
    after = torch.tensor([[0.1, 0.25, 0.05], [0.6, 0.1, 0.2]]).log()
    found = sensitivities(before, after, torch.tensor([1, 2]), torch.tensor([1, 0]), torch.tensor([1, 1]))
    assert found.zero_shot.tolist() == pytest.approx([math.log(2), math.log(2)])
    assert found.confidence.tolist() == pytest.approx([math.log(2), math.log(0.4 / 0.6)])
    assert found.loss.tolist() == pytest.approx([math.log(2), math.log(3)])


def test_a_history_that_changes_nothing_has_no_sensitivity():
    said = torch.randn(5, 4).log_softmax(1)
    answer = said.argmax(1)
    assert [part.tolist() for part in sensitivities(said, said, answer, answer, torch.zeros(5).long())] == [
        [0.0] * 5
    ] * 3


def test_a_switch_costs_what_the_true_label_loses_against_turns_of_its_own_task():
    own = torch.tensor([[0.2, 0.5], [0.1, 0.3]]).log()
    other = torch.tensor([[0.1, 0.6], [0.4, 0.15]]).log()
    found = switch_cost(own, other, torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(2)])
    assert switch_cost(own, own, torch.tensor([0, 1])).tolist() == [0, 0]


def test_a_row_strays_where_the_next_token_begins_no_word():
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 4.0, 1.0, 2.0], [0.0, 1.0, 2.0, 9.0]])
    assert strays(logits, torch.tensor([1, 3])).tolist() == [False, True, False]
