"""What is measured: every engine in turn, round after round, with the same ids in and the same number out."""
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ..console import bar, say
from ..inputs import random_ids
from .engines import IMAGES, OURS, REFERENCE
from .worker import Worker

PROMPT = 512                          # ids that the decoder reads when it runs alone
ENCODED, FORCED = 512, 64             # ids of the agreement: the encoder's, the decoder's
FORCED_ALONE, LAST_ALONE = 576, 32    # beyond the window of Google's models
FIRST, MEMORY_OUT = 32, 128           # ids in for the first token; tokens out, after ENCODED, for peak memory
LONG_OUT = 16                         # tokens out behind a long input
TEXT_IDS, TEXT_ROUNDS = (20, 300), 3  # ids of the shortest and the longest of many texts
BATCHES = (4, 8, 16)                  # texts that transformers encodes at once
SLOW = 45                             # seconds; what takes more is measured once
CALM = 0.3                            # seconds in which another engine's threads stop waiting busily


@dataclass(frozen=True)
class Plan:
    lengths: tuple[int, ...]
    threads: tuple[int, ...]
    steps: int
    repeats: int
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

    def key(self, part: int = 0) -> tuple:
        return self.worker.engine.key, self.parts[part], self.length, self.threads

    def seconds(self) -> Sequence[float]:
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
        self.took: dict[tuple, float] = {}  # by steps, all around included

    def add(self, step: Step) -> None:
        begun = time.monotonic()
        time.sleep(CALM)
        for i, (tokens, seconds) in enumerate(zip(step.tokens, step.seconds(), strict=True)):
            names = dict(zip(("engine", "what", "length", "threads"), step.key(i)))
            self.rows.setdefault(step.key(i), {**names, "tokens": tokens, "seconds": []})["seconds"].append(seconds)
        self.took[step.key()] = time.monotonic() - begun

    def again(self, step: Step) -> bool:
        return step.key() not in self.took or self.took[step.key()] <= SLOW


def rounds(workers: list[Worker], plan: Plan, ids: Ids, deadline: float) -> list[dict]:
    """The first round is whole; another begins only if it is likely to end in time."""
    times = Times()
    steps = {threads: steps_of(workers, plan, ids, threads) for threads in plan.threads}
    with bar(plan.repeats * sum(map(len, steps.values())), "measuring", "run") as progress:
        for number in range(1, plan.repeats + 1):
            begun = time.monotonic()
            steps = {threads: list(filter(times.again, of_threads)) for threads, of_threads in steps.items()}
            expected = sum(times.took.get(step.key(), 0) for of_threads in steps.values() for step in of_threads)
            if number > 1 and begun + expected > deadline:
                say(f"no time for another round, of about {expected:.0f} s")
                break
            one_round(workers, steps, times, progress.update)
            say(f"round {number} of {plan.repeats}: {time.monotonic() - begun:.0f} s")
    return list(times.rows.values())


def one_round(workers: list[Worker], steps: dict[int, list[Step]], times: Times, progress: Callable[[], object]) -> None:
    for threads, of_threads in steps.items():
        for worker in workers:
            worker.call("set_threads", threads)
        for step in of_threads:
            times.add(step)
            progress()


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


def of_processes(ours: list[Worker], ids: Ids) -> dict:
    """Of whole processes of our programs."""
    first = {worker.engine.key: median(worker.call("first_token", ids.encoder(FIRST), [ids.bos]) for _ in range(3))
             for worker in ours}
    memory = {worker.engine.key: worker.call("peak_memory", ids.encoder(ENCODED), [ids.bos], MEMORY_OUT)
              for worker in ours}
    return {"first_token": first, "peak_memory": memory}


def long_inputs(ours: Worker, lengths: Sequence[int], threads: int, config: dict) -> list[dict]:
    """One process for each length."""
    ids, rows = Ids(config), []
    ours.call("set_threads", threads)
    for length in lengths:
        rows.append({"engine": ours.engine.key, "threads": threads,
                     **ours.call("long_input", ids.encoder(length), [ids.bos], LONG_OUT)})
        say(f"{length} tokens in: {rows[-1]['seconds']:.0f} s, {rows[-1]['memory']:.0f} MB")
    return rows


def texts_of(count: int, ids: Ids) -> list[list[int]]:
    """Of lengths spread evenly."""
    low, high = TEXT_IDS
    return [ids.encoder(low + i * (high + 1 - low) // count) for i in range(count)]


def many_texts(workers: list[Worker], count: int, threads: int, config: dict) -> dict:
    """Embeddings of so many texts. The number that transformers takes at once is the best one of a first round."""
    texts, seconds = texts_of(count, Ids(config)), {}
    runs = [(worker, batch) for worker in workers for batch in ((0,) if worker.engine.name == OURS else BATCHES)]
    for worker in workers:
        worker.call("set_threads", threads)
    for number in range(1, TEXT_ROUNDS + 1):
        for worker, batch in runs:
            time.sleep(CALM)
            seconds.setdefault((worker.engine.key, batch), []).append(worker.call("text_seconds", texts, batch))
        say(f"{count} texts, round {number} of {TEXT_ROUNDS}")
        runs = [min((run for run in runs if run[0] is worker), key=lambda run: min(seconds[run[0].engine.key, run[1]]))
                for worker in workers]
    rows = [{"engine": engine, "batch": batch, "seconds": of_run} for (engine, batch), of_run in seconds.items()]
    return {"texts": count, "tokens": sum(map(len, texts)), "threads": threads, "rows": rows}


def measure(workers: list[Worker], plan: Plan, config: dict, deadline: float) -> dict:
    """All figures, as they are written to figures.json; the deadline is one of time.monotonic."""
    ids = Ids(config)
    ours = [worker for worker in workers if worker.engine.name == OURS]
    for worker in workers:
        worker.call("set_threads", max(plan.threads))
    return {
        **ours[0].call("machine"), "lengths": plan.lengths, "threads": plan.threads, "steps": plan.steps,
        "versions": {worker.engine.name: worker.version for worker in workers}, **of_processes(ours, ids),
        "agreement": agreement(workers, ids), "times": rounds(workers, plan, ids, deadline),
    }
