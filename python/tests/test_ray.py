"""The examples for large data sets on a Ray of this machine: with two workers the results are those of the model.

Run: pytest python/tests/test_ray.py      It fails where Ray does not start.
"""

import importlib.util
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import t5gemma2

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)

# Before Ray is imported: it is to be one of our own, and leaves no token in the home folder where it is given one.
os.environ.pop("RAY_ADDRESS", None)
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
EXAMPLES = Path(__file__).parents[2] / "examples/python"
sys.path.insert(0, str(EXAMPLES))

import dataset  # noqa: E402
import pandas as pd  # noqa: E402
import ray  # noqa: E402

ANIMALS = "ant bear cat dog eel fox goat hen owl pig".split()
TEXTS = [*(f"in words: {number * 7919 % 100000}" for number in range(300)),
         *(f"sort: {one} {other} ü" for one in ANIMALS[:5] for other in ANIMALS[5:]),
         *(f"date: march {day}, 2024" for day in range(1, 10))]
ROWS = [{"id": f"{number:03}", "text": text} for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray with two cores for workers."""
    ray.init(address="local", num_cpus=2 + dataset.FOR_FILES, include_dashboard=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="module")
def model():
    return t5gemma2.load()


@pytest.fixture
def jsonl(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def run(cluster: str, example: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, EXAMPLES / example, *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"RAY_ADDRESS": cluster}, timeout=120)


def rows_of(files, read) -> list[dict]:
    """Of all files that an example wrote, in the order of their ids."""
    return sorted((row for file in files for row in read(file)), key=lambda row: row["id"])


def test_embeddings_are_those_of_the_model(cluster, model, jsonl, tmp_path):
    done = run(cluster, "embed_dataset.py", jsonl, tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    made = rows_of((tmp_path / "out").iterdir(), lambda file: pd.read_parquet(file).to_dict("records"))
    assert [{"id": row["id"], "text": row["text"]} for row in made] == ROWS
    for row in made:
        vector = np.asarray(row["embedding"])
        assert vector.dtype == np.float32 and np.array_equal(vector, model.embed(row["text"])), row


def test_answers_are_those_of_the_model(cluster, model, tmp_path):
    (tmp_path / "in").mkdir()
    for part in range(2):
        pd.DataFrame(ROWS[part::2]).to_parquet(tmp_path / f"in/{part}.parquet")
    done = run(cluster, "answer_dataset.py", tmp_path / "in", tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    made = rows_of((tmp_path / "out").iterdir(), lambda file: map(json.loads, file.read_text().splitlines()))
    assert made == [row | {"answer": model.generate(row["text"], max_new_tokens=64)} for row in ROWS]


def test_a_row_without_text_ends_it(cluster, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "sort: ox cat"}\n{"id": 1}\n')
    done = run(cluster, "embed_dataset.py", tmp_path / "rows.jsonl", tmp_path / "out")
    assert done.returncode == 1 and "TypeError" in done.stderr, done


def test_rows_of_text_files(cluster, tmp_path):
    for part in range(2):
        (tmp_path / f"{part}.txt").write_text("".join(text + "\n" for text in TEXTS[part::2]))
    assert sorted(row["text"] for row in dataset.read(tmp_path).take_all()) == sorted(TEXTS)


def test_texts_that_look_like_dates_stay_texts(cluster, tmp_path):
    file = tmp_path / "dates.jsonl"
    file.write_text('{"text": "2024-03-05"}\n' * 3)
    assert dataset.read(file).take_all() == [{"text": "2024-03-05"}] * 3


def test_files_of_another_kind(tmp_path):
    for name in ("a.jsonl", "b.csv"):
        (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / "b.csv"):
        with pytest.raises(SystemExit, match="csv"):
            dataset.read(path)


def test_workers_share_the_cores(cluster):
    assert [dataset.threads_of_each(workers) for workers in (1, 2)] == [2, 1]
    with pytest.raises(SystemExit, match="for 2, found 3"):
        dataset.threads_of_each(3)


def test_both_workers_work(cluster, tmp_path):
    class Meeting:
        """A worker that goes on when there is another one. (In here it needs no import where it works.)"""

        def __init__(self, folder: str, threads: int):
            self.folder, self.threads = Path(folder), threads

        def __call__(self, batch: dict) -> dict:
            (self.folder / str(os.getpid())).touch()
            end = time.monotonic() + 30
            while len(list(self.folder.iterdir())) < 2 and time.monotonic() < end:
                time.sleep(0.05)
            return batch | {"worker": [os.getpid()], "threads": [self.threads]}

    rows = ray.data.from_items(ROWS, override_num_blocks=1)
    made = dataset.on_workers(rows, Meeting, str(tmp_path), workers=2, batch=1).take_all()
    assert sorted(row["id"] for row in made) == [row["id"] for row in ROWS]
    assert len({row["worker"] for row in made}) == 2 and {row["threads"] for row in made} == {1}
