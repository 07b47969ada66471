#!/usr/bin/env python3
"""How many texts a second one process of two threads and Ray's workers of one thread each embed and answer: a table.

    python examples/python/scaling.py

All take turns in each of three rounds; the median counts, with the slowest and the fastest beside it. What it takes to
start Ray and to load models is not counted.
"""
import os
import statistics
import time

from dataset import on_workers, start_ray  # first: it sets Ray up
import ray
from answer_dataset import Answerer
from embed_dataset import Embedder

ROUNDS = 3
TASKS = {"embed": (Embedder, 32, 8192), "answer": (Answerer, 8, 1024)}  # a batch, and texts in all


def texts(count: int) -> list[str]:
    return [f"in words: {number * 7919 % 100000}" for number in range(count)]


def timed(worker: type) -> type:
    """A worker of one thread, whose rows tell when its call began and ended."""
    class Timed(worker):
        def __init__(self, model: str | None, _threads: int):
            super().__init__(model, threads=1)

        def __call__(self, batch: dict) -> dict:
            begin = time.time()
            made = super().__call__(batch)
            return made | {"begin": [begin] * len(batch["text"]), "end": [time.time()] * len(batch["text"])}
    return Timed


def with_ray(workers: int, worker: type, batch: int, count: int) -> float:
    """Texts a second, from the begin of the first batch to the end of the last one."""
    rows = ray.data.from_items([{"text": text} for text in texts(count)], override_num_blocks=1)  # as of a file
    made = on_workers(rows, timed(worker), None, workers, batch).take_all()
    return count / (max(row["end"] for row in made) - min(row["begin"] for row in made))


def without_ray(threads: int, worker: type, batch: int, count: int) -> float:
    """The same batches in this process."""
    one, rows = worker(None, threads), texts(count)
    begin = time.time()
    for first in range(0, count, batch):
        one({"text": rows[first:first + batch]})
    return count / (time.time() - begin)


WAYS = {"one process, 2 threads": lambda *task: without_ray(2, *task),
        "Ray, 1 worker of 1 thread": lambda *task: with_ray(1, *task),
        "Ray, 2 workers of 1 thread": lambda *task: with_ray(2, *task)}


def machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    return f"{model}, {os.cpu_count()} cores; before the run the machine's load was {os.getloadavg()[0]:.1f}."


def cell(measured: list[float]) -> str:
    return f"{statistics.median(measured):,.0f} ({min(measured):,.0f} to {max(measured):,.0f})"


def main() -> None:
    print(machine(), "\n", flush=True)
    start_ray()
    ray.data.DataContext.get_current().enable_progress_bars = False
    speeds: dict[tuple[str, str], list[float]] = {(way, task): [] for way in WAYS for task in TASKS}
    for _ in range(ROUNDS):
        for way, task in speeds:
            speeds[way, task].append(WAYS[way](*TASKS[task]))
    print("| texts a second |", " | ".join(TASKS), "|\n| --- |", " | ".join("---:" for _ in TASKS), "|")
    for way in WAYS:
        print(f"| {way} |", " | ".join(cell(speeds[way, task]) for task in TASKS), "|")
    ray.shutdown()


if __name__ == "__main__":
    main()
