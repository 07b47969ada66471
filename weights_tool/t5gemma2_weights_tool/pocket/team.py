"""Two or more processes that train one model: each computes the gradients of its samples, all add them up.

On a CPU this is faster than threads within one process, which wait for each other at every small product.
"""
import signal
import tempfile
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing

from ..console import complain
from ..errors import UserError
from .signals import held_back

PATIENCE = timedelta(minutes=30)  # a worker may still be compiling
GRACE = 3  # seconds in which a worker may say why it ends


class Told(UserError):
    """What the leader tells, if anybody."""


class Team:
    """One worker's view; a team of one talks to nobody."""

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def add(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the workers."""
        if self.size == 1:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])
        try:
            torch.distributed.all_reduce(together)
        except RuntimeError as error:
            raise Told(f"train: a worker process has ended: {str(error).splitlines()[0]}") from None
        for tensor, part in zip(tensors, together.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(part.view_as(tensor))

    def agree(self, number: int) -> int:
        """The leader's number, for all; also a place where all wait for each other."""
        shared = torch.tensor([int(number) if self.leads else 0])
        self.add([shared])
        return int(shared)


def work(rank: int, size: int, meeting: str, job: Callable, arguments: tuple) -> None:
    """What every process of a team does."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size,
                                         timeout=PATIENCE)
    try:
        job(Team(rank, size), *arguments)
    finally:
        torch.distributed.destroy_process_group()


def follow(rank: int, size: int, meeting: str, job: Callable, arguments: tuple) -> None:
    """A worker that is not the leader: stops when the leader says so or is gone, and leaves talking to it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        work(rank, size, meeting, job, arguments)
    except Told:
        pass
    except UserError as error:
        complain(f"worker {rank}: {error}")


def run(size: int, job: Callable, *arguments) -> None:
    """job(team, *arguments) in this process and in size - 1 others."""
    if size == 1:
        torch.set_num_threads(1)
        job(Team(), *arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        context = torch.multiprocessing.get_context("spawn")
        others: list[torch.multiprocessing.Process] = []
        ensure_running()  # of the standard library, which would let signals through
        try:
            with held_back(signal.SIGINT, signal.SIGTERM):  # inherited: Ctrl-C does not end one that is still importing
                for rank in range(1, size):
                    other = context.Process(target=follow, args=(rank, size, meeting, job, arguments), daemon=True)
                    other.start()
                    others.append(other)
            work(0, size, meeting, job, arguments)
        except BaseException:
            for other in others:
                other.join(GRACE)
                other.kill()  # it may still wait for this process, and has nothing to keep
            raise
        finally:
            for other in others:
                other.join()
