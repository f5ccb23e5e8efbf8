"""The order in which a task's rows come: shuffled, bucketed by length, each once an epoch, the same after a restart."""

import numpy as np

POOL = 50
"""Batches that are sorted by length together: longer pools waste less padding, shorter ones mix more."""


class RowStream:
    """An endless sequence of rows that is a pure function of (rows, lengths, batch_size, seed).

    Each epoch is a fresh permutation. Within pools of `POOL` batches rows are sorted by length and cut into batches
    of like length, which come in shuffled order. Batches are cut at multiples of `batch_size` counted over the whole
    sequence, so that one may hold the end of an epoch and the beginning of the next; no row is lost or comes twice.
    """

    def __init__(self, rows: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self.rows, self.lengths = rows, lengths
        self.batch_size, self.seed = batch_size, seed
        self._epoch, self._order = -1, rows

    def _of_epoch(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            generator = np.random.default_rng((self.seed, epoch))
            shuffled = self.rows[generator.permutation(len(self.rows))]
            head = -epoch * len(self.rows) % self.batch_size
            parts = [shuffled[:head]]
            body = shuffled[head:]
            for start in range(0, len(body), POOL * self.batch_size):
                pool = body[start : start + POOL * self.batch_size]
                pool = pool[np.argsort(self.lengths[pool], kind="stable")]
                whole = len(pool) // self.batch_size
                # the rows that don't fill a batch come last: they share one with the next epoch
                short = pool[whole * self.batch_size :] if whole else pool
                batches = pool[: whole * self.batch_size].reshape(whole, self.batch_size)
                parts += [batches[generator.permutation(whole)].ravel(), short]
            self._epoch, self._order = epoch, np.concatenate(parts)
        return self._order

    def take(self, position: int, count: int) -> np.ndarray:
        """Rows `position` to `position + count` of the sequence."""
        found = []
        while count:
            epoch, start = divmod(position, len(self.rows))
            part = self._of_epoch(epoch)[start : start + count]
            found.append(part)
            position, count = position + len(part), count - len(part)
        return np.concatenate(found)
