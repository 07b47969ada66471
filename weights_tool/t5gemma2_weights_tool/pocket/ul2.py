"""UL2's mixture of denoisers (paper section 3.1): five ways to hide part of a text, 1 : 1 : 1 : 1 : 4.

    mean span   3     12    32    32    3/4 of the text
    hidden      15 %  50 %  15 %  50 %  75 %, the end of the text: the beginning is the input, the rest the target

In the first four a sentinel takes each span's place in the input; the target is every sentinel with its span:

    ids      a b c d e f g h
    input    a S1 d e S2 h          target   S1 b c S2 f g
"""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Denoiser:
    mean_span: float
    hidden: float  # part of the text


SPANS = (Denoiser(3, 0.15), Denoiser(12, 0.5), Denoiser(32, 0.15), Denoiser(32, 0.5))
PREFIX_HIDDEN = 0.75
PREFIX_WEIGHT = 4  # of each of the others: 1


def denoise(ids: np.ndarray, rng: np.random.Generator, sentinels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and target of a text of two ids or more, both without <bos> and <eos>; sentinels in the order of use."""
    choice = int(rng.integers(len(SPANS) + PREFIX_WEIGHT))
    return prefix(ids) if choice >= len(SPANS) else spans(ids, rng, sentinels, SPANS[choice])


def prefix(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = min(max(round(len(ids) * (1 - PREFIX_HIDDEN)), 1), len(ids) - 1)
    return ids[:kept], ids[kept:]


def spans(ids: np.ndarray, rng: np.random.Generator, sentinels: np.ndarray, denoiser: Denoiser):
    """As many spans as give the mean length, at least one; a text too short for that has a shorter one."""
    hidden = min(max(rounded(len(ids) * denoiser.hidden, rng), 1), len(ids) - 1)
    count = min(max(rounded(hidden / denoiser.mean_span, rng), 1), len(ids) - hidden + 1, len(sentinels))
    lengths = parts(hidden, count, rng)
    gaps = parts(len(ids) - hidden + 2, count + 1, rng)  # the first and the last one too long: they may be empty
    gaps[0] -= 1
    starts = np.cumsum(gaps[:-1]) + np.cumsum(lengths) - lengths
    source, target, done = [], [], 0
    for sentinel, start, length in zip(sentinels, starts, lengths):
        source += [ids[done:start], [sentinel]]
        target += [[sentinel], ids[start:start + length]]
        done = start + length
    return np.concatenate([*source, ids[done:]]).astype(ids.dtype), np.concatenate(target).astype(ids.dtype)


def rounded(value: float, rng: np.random.Generator) -> int:
    """Up or down, so that the mean is kept."""
    return int(value + rng.random())


def parts(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` lengths of 1 or more that add up to `total`, all ways equally likely."""
    cuts = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(cuts, prepend=0, append=total)
