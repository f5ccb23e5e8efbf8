"""The question every trunk answers: what are the features of a text, token by token and as a whole?"""

from abc import abstractmethod

from torch import Tensor, nn


class Trunk(nn.Module):
    """What all tasks share. A subclass is final; its constructor takes `vocabulary_size` and `per_token` first.

    U is the number of distinct inputs, L their padded length, D the width of the features.
    """

    width: int
    """D."""

    @abstractmethod
    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Features of each token, U x L x D. What stands behind a row's length changes nothing before it."""

    def last_layer(self) -> list[nn.Module]:
        """The modules of the last layer, where GradNorm and `gradients=last_layer` compare gradients: the last module
        with parameters, unless a subclass knows better.
        """
        return [child for child in self.children() if any(True for _ in child.parameters())][-1:]

    def answer(self, features: Tensor) -> Tensor:
        """Logits over the vocabulary for features (... x D to ... x V), for trunks that were made to say words."""
        raise NotImplementedError

    @abstractmethod
    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features of the whole text, U x D."""
