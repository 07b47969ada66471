"""Log-probabilities of ids out of logits."""
import numpy as np

from .. import precision


def log_probabilities(logits: np.ndarray, ids: list[int]) -> list[float]:
    """Of each id by its row of logits [ids, vocab]."""
    return precision.log_probabilities(logits)[np.arange(len(ids)), ids].tolist()
