"""UL2's denoisers against the paper's table: rates, lengths, mixture; and that nothing of the text is lost."""
import numpy as np
import pytest

from t5gemma2_weights_tool.pocket import ul2

SENTINELS = np.arange(39, 7, -1)
DRAWS = 10_000


def hidden(source: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """The spans of the target; fails unless both sides have the same sentinels in the order of use."""
    places = np.flatnonzero(np.isin(target, SENTINELS))
    assert np.array_equal(target[places], SENTINELS[:len(places)]) and (len(places) == 0 or places[0] == 0)
    assert np.array_equal(source[np.isin(source, SENTINELS)], target[places])
    return [span[1:] for span in np.split(target, places[1:])] if len(places) else [target]


def whole(source: np.ndarray, target: np.ndarray) -> list[int]:
    if target[0] not in SENTINELS:
        return [*source, *target]
    spans = iter(hidden(source, target))
    return [i for token in source for i in (next(spans) if token in SENTINELS else [token])]


@pytest.mark.parametrize("denoiser, mean_span, rate", [
    (ul2.SPANS[0], 3, 0.15), (ul2.SPANS[1], 12, 0.5), (ul2.SPANS[2], 32, 0.15), (ul2.SPANS[3], 32, 0.5)])
def test_figures_of_a_denoiser(denoiser, mean_span, rate):
    rng, lengths, total = np.random.default_rng(0), [], 0
    for _ in range(DRAWS // 4):
        ids = rng.integers(100, 1000, rng.integers(400, 600))
        spans = hidden(*ul2.spans(ids, rng, SENTINELS, denoiser))
        lengths += [len(span) for span in spans]
        total += len(ids)
    assert sum(lengths) / total == pytest.approx(rate, rel=0.02)
    assert np.mean(lengths) == pytest.approx(mean_span, rel=0.03)
    assert min(lengths) >= 1 and np.std(lengths) > 0.4 * mean_span


def test_mixture():
    rng, ids, rates, prefixes = np.random.default_rng(1), np.arange(100, 500), [], 0
    for _ in range(DRAWS):
        source, target = ul2.denoise(ids, rng, SENTINELS)
        spans = hidden(source, target)
        rates.append(sum(map(len, spans)) / len(ids))
        if target[0] not in SENTINELS:
            prefixes += 1
            assert np.array_equal(source, ids[:100]) and np.array_equal(target, ids[100:])
    assert prefixes / DRAWS == pytest.approx(4 / 8, abs=0.02)
    for rate, weight in ((0.15, 2), (0.5, 2), (0.75, 4)):
        assert np.mean(np.isclose(rates, rate, atol=0.01)) == pytest.approx(weight / 8, abs=0.02)


def test_nothing_is_lost():
    rng = np.random.default_rng(2)
    starts = ends = 0
    for _ in range(2000):
        ids = rng.integers(100, 1000, rng.integers(2, 300)).astype(np.int32)
        source, target = ul2.denoise(ids, rng, SENTINELS)
        assert whole(source, target) == ids.tolist() and source.dtype == target.dtype == np.int32
        assert len(target) and len(source)
        starts += source[0] in SENTINELS
        ends += source[-1] in SENTINELS
    assert starts > 20 and ends > 20  # the text's first and last words are hidden, too


@pytest.mark.parametrize("length", [2, 3, 5, 8])
def test_short_texts(length):
    rng = np.random.default_rng(length)
    for _ in range(300):
        ids = np.arange(100, 100 + length)
        assert whole(*ul2.denoise(ids, rng, SENTINELS)) == ids.tolist()


def test_seed():
    ids = np.arange(100, 300)
    runs = [[ul2.denoise(ids, rng, SENTINELS) for _ in range(5)] for rng in map(np.random.default_rng, (3, 3, 4))]
    same = [all(np.array_equal(a, b) for one, other in zip(runs[0], run) for a, b in zip(one, other)) for run in runs[1:]]
    assert same == [True, False]
