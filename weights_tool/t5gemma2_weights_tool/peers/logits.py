"""Log-probabilities out of logits, in float64."""
import numpy as np


def log_probabilities(logits: np.ndarray, ids: list[int]) -> list[float]:
    """Of each id by its row of logits [ids, vocab]."""
    rows = logits.astype(np.float64)
    most = rows.max(1)
    total = most + np.log(np.exp(rows - most[:, None]).sum(1))
    return (rows[np.arange(len(ids)), ids] - total).tolist()
