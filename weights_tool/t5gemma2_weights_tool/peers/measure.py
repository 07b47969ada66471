"""What is measured: every engine in turn, round after round, with the same ids in and the same number out."""
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..console import bar, say
from ..inputs import random_ids
from .engines import IMAGES, OURS, REFERENCE
from .worker import Worker

PROMPT = 512                          # ids that the decoder reads when it runs alone
ENCODED, FORCED = 512, 64             # ids of the agreement: the encoder's, the decoder's
FORCED_ALONE, LAST_ALONE = 576, 32    # beyond the window of Google's models
FIRST, MEMORY_OUT = 32, 128           # ids in for the first token; tokens out, after ENCODED, for peak memory
CALM = 0.3                            # seconds in which another engine's threads stop waiting busily


@dataclass(frozen=True)
class Plan:
    lengths: tuple[int, ...]
    threads: tuple[int, ...]
    steps: int
    repeats: int
    minutes: float
    images: bool


@dataclass(frozen=True)
class Step:
    """What a call measures: parts are the names of its times, tokens how many each is for."""
    worker: Worker
    length: int
    threads: int
    parts: tuple[str, ...]
    tokens: tuple[int, ...]
    arguments: tuple

    def seconds(self) -> Sequence[float]:
        time.sleep(CALM)
        if self.parts == ("image",):
            return [self.worker.call("image_seconds")]
        return self.worker.call("seconds", *self.arguments)


class Ids:
    """The ids that all engines get."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.bos = config["decoder"]["bos_token_id"]

    def encoder(self, length: int) -> list[int]:
        return random_ids(self.config, length, seed=length)[0].tolist()

    def decoder(self, length: int) -> list[int]:
        return random_ids(self.config, length, seed=-length % 2**32)[0].tolist()


def steps_of(workers: list[Worker], plan: Plan, ids: Ids, threads: int) -> list[Step]:
    """Of one number of threads; engines are neighbours, so that a slow moment hits all."""
    steps = []
    for length in plan.lengths:
        arguments = (ids.encoder(length), [ids.bos], plan.steps)
        steps += [Step(worker, length, threads, ("encode", "decode"), (length, plan.steps), arguments)
                  for worker in workers if worker.engine.encodes]
    arguments = ([], ids.decoder(PROMPT), plan.steps)
    steps += [Step(worker, PROMPT, threads, ("read alone", "decode alone"), (PROMPT, plan.steps), arguments)
              for worker in workers if worker.engine.alone]
    if plan.images and threads == max(plan.threads):
        steps += [Step(worker, 1, threads, ("image",), (1,), ()) for worker in workers if worker.engine.key in IMAGES]
    return steps


class Times:
    """Seconds of each repeat, by engine, what, length and threads."""

    def __init__(self) -> None:
        self.rows: dict[tuple, dict] = {}

    def add(self, step: Step) -> None:
        for what, tokens, seconds in zip(step.parts, step.tokens, step.seconds()):
            key = (step.worker.engine.key, what, step.length, step.threads)
            names = dict(zip(("engine", "what", "length", "threads"), key))
            self.rows.setdefault(key, {**names, "tokens": tokens, "seconds": []})["seconds"].append(seconds)


def one_round(workers: list[Worker], plan: Plan, ids: Ids, times: Times, progress: Callable[[], object]) -> None:
    for threads in plan.threads:
        for worker in workers:
            worker.call("set_threads", threads)
        for step in steps_of(workers, plan, ids, threads):
            times.add(step)
            progress()


def rounds(workers: list[Worker], plan: Plan, ids: Ids, started: float) -> list[dict]:
    """The first round is whole; another begins only if it will end in time."""
    times = Times()
    each = sum(len(steps_of(workers, plan, ids, threads)) for threads in plan.threads)
    with bar(plan.repeats * each, "measuring", "run") as progress:
        for number in range(1, plan.repeats + 1):
            begun = time.monotonic()
            one_round(workers, plan, ids, times, progress.update)
            ended = time.monotonic()
            say(f"round {number} of {plan.repeats}: {ended - begun:.0f} s")
            if number < plan.repeats and ended + (ended - begun) > started + 60 * plan.minutes:
                say(f"no time for another round within --minutes {plan.minutes:g}")
                break
    return list(times.rows.values())


def agreement(workers: list[Worker], ids: Ids) -> list[dict]:
    """How far each engine's log-probabilities of the same forced ids are from the reference's."""
    rows = []
    cases = ((False, (ids.encoder(ENCODED), ids.decoder(FORCED + 1), FORCED)),
             (True, ([], ids.decoder(FORCED_ALONE), LAST_ALONE)))
    for alone, arguments in cases:
        chosen = [worker for worker in workers if (worker.engine.alone if alone else worker.engine.encodes)]
        reference = next(worker for worker in workers if worker.engine.key == REFERENCE)
        right = reference.call("log_probabilities", *arguments)
        for worker in chosen:
            if worker is reference:
                continue
            found = worker.call("log_probabilities", *arguments)
            apart = [abs(a - b) for a, b in zip(found, right, strict=True)]
            rows.append({"engine": worker.engine.key, "alone": alone, "ids": len(apart),
                         "mean": sum(apart) / len(apart), "max": max(apart)})
            say(f"{worker.engine.key}{', decoder alone' if alone else ''}: log-probabilities differ by "
                f"{rows[-1]['mean']:.2g} in the mean, {rows[-1]['max']:.2g} at most")
    return rows


def measure(workers: list[Worker], plan: Plan, config: dict, started: float) -> dict:
    """All figures, as they are written to figures.json."""
    ids, load = Ids(config), os.getloadavg()[0]
    ours = [worker for worker in workers if worker.engine.name == OURS]
    for worker in workers:
        worker.call("set_threads", max(plan.threads))
    return {
        **ours[0].call("machine"), "busy": load, "lengths": plan.lengths, "threads": plan.threads,
        "versions": {worker.engine.name: worker.version for worker in workers},
        "first_token": [{"engine": worker.engine.key, "seconds": worker.call("first_token", ids.encoder(FIRST), [ids.bos])}
                        for worker in ours],
        "peak_memory": [{"engine": worker.engine.key,
                         "mb": worker.call("peak_memory", ids.encoder(ENCODED), [ids.bos], MEMORY_OUT)}
                        for worker in ours],
        "agreement": agreement(workers, ids),
        "times": rounds(workers, plan, ids, started),
    }
