"""LeNet, held to plain torch and to its published size."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mtl.model.lenet import LeNet
from mtl.training.budget import flops_per_place


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return LeNet(256, False).eval()


def test_has_the_published_number_of_weights(lenet):
    assert sum(parameter.numel() for parameter in lenet.parameters()) == 21_330


def test_is_the_published_network_on_standardised_pixels(lenet):
    ids = torch.randint(0, 256, (3, 784))
    plain = nn.Sequential(
        *(lenet.first, nn.MaxPool2d(2), nn.ReLU(), lenet.second, nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), lenet.linear, nn.ReLU()),
    )
    expected = plain((ids.view(3, 1, 28, 28) / 255 - 0.1307) / 0.3081)
    lengths = torch.full((3,), 784)
    torch.testing.assert_close(lenet.pool(lenet(ids, lengths), lengths), expected)


def test_an_image_may_have_another_size():
    lenet = LeNet(256, False, height=20, width=33, units=8)
    assert lenet(torch.zeros(2, 660, dtype=torch.long), torch.full((2,), 660)).shape == (2, 1, 8)


def test_its_flops_are_three_forward_passes_as_torch_counts_them(lenet):
    with FlopCounterMode(display=False) as counter:
        lenet(torch.zeros(1, 784, dtype=torch.long), torch.tensor([784]))
    biases = 6 * (10 * 24 * 24 + 20 * 8 * 8 + 50)  # which torch does not count
    assert 784 * flops_per_place(lenet) == pytest.approx(3 * counter.get_total_flops() + biases, abs=784 / 2)


def test_dropout_takes_whole_channels_and_only_in_training():
    lenet, ids, lengths = LeNet(256, False, dropout=0.5), torch.randint(0, 256, (2, 784)), torch.full((2,), 784)
    assert not torch.equal(lenet(ids, lengths), lenet(ids, lengths))
    assert torch.equal(lenet.eval()(ids, lengths), lenet(ids, lengths))


@pytest.mark.parametrize(("options", "words"), [({"per_token": True}, "tags tokens"), ({"height": 15}, "at least 16")])
def test_what_it_cannot_read_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        LeNet(256, **{"per_token": False, **options})
