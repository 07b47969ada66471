#!/usr/bin/env python3
"""Adds an embedding to each row of a large data set, with one model in each worker process.

    python examples/python/embed_dataset.py texts.jsonl vectors --workers 2
"""
import t5gemma2
from dataset import ROWS_PER_FILE, arguments, on_workers, read, start_ray


class Embedder:
    """One of these lives in each worker process."""

    def __init__(self, model: str | None, threads: int):
        self.model = t5gemma2.load(model, threads=threads)

    def __call__(self, batch: dict) -> dict:
        return batch | {"embedding": self.model.embed(list(batch["text"]))}


def main() -> None:
    args = arguments(__doc__, "Parquet files: each row and its embedding")
    start_ray()
    rows = on_workers(read(args.input), Embedder, args.model, args.workers, batch=32)
    rows.write_parquet(str(args.output), mode="create", min_rows_per_file=ROWS_PER_FILE)


if __name__ == "__main__":
    main()
