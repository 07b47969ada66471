#!/usr/bin/env python3
"""Answers each row of a large data set, with one model in each worker process.

    python examples/python/answer_dataset.py questions.jsonl answers --workers 2
"""
import t5gemma2
from dataset import ROWS_PER_FILE, arguments, on_workers, read, start_ray


class Answerer:
    """One of these lives in each worker process."""

    def __init__(self, model: str | None, threads: int):
        self.model = t5gemma2.load(model, threads=threads)

    def __call__(self, batch: dict) -> dict:
        return batch | {"answer": [self.model.generate(text, max_new_tokens=64) for text in batch["text"]]}


def main() -> None:
    args = arguments(__doc__, "JSON lines: each row and its answer")
    start_ray()
    rows = on_workers(read(args.input), Answerer, args.model, args.workers, batch=8)
    rows.write_json(str(args.output), mode="create", min_rows_per_file=ROWS_PER_FILE)


if __name__ == "__main__":
    main()
