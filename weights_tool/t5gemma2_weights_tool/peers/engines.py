"""The engines that are compared. Each is a module beside this one with a function

    load(files: Files, precision: str) -> Loaded

so that another engine is another module, and a line or two in ENGINES.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..precision import PRECISIONS

OURS, REFERENCE = "ours", "transformers float32"


@dataclass(frozen=True)
class Engine:
    name: str
    precision: str
    module: str
    packages: tuple[str, ...] = ()
    encodes: bool = True  # has the encoder
    alone: bool = False   # is timed without encoder input, too

    @property
    def key(self) -> str:
        return f"{self.name} {self.precision}"


@dataclass(frozen=True)
class Files:
    """What engines read and write: the checkpoint, the folder of our programs, a folder for converted weights."""
    model: Path
    programs: Path
    work: Path


class Loaded(Protocol):
    """A model in an engine. Ids of the encoder may be empty: then the decoder runs alone."""
    version: str

    def set_threads(self, threads: int) -> None: ...

    def seconds(self, encoder_ids: list[int], decoder_ids: list[int], steps: int) -> tuple[float, float]:
        """Of reading, which is encoding or, with the decoder alone, reading its ids; and of `steps` further tokens."""

    def log_probabilities(self, encoder_ids: list[int], decoder_ids: list[int], last: int) -> list[float]:
        """Of each of the last ids of the decoder, after those before it."""

    def text_seconds(self, texts: list[list[int]], batch: int) -> float:
        """Of the embeddings of all texts, so many at once; only of engines in TEXTS."""

    def image_seconds(self) -> float:
        """Of one image through SigLIP and the projector; only of engines in IMAGES."""


TORCH = ("torch", "transformers")
ENGINES = (
    *(Engine(OURS, precision, "our_engine", alone=True) for precision in PRECISIONS),
    Engine("transformers", "float32", "torch_engine", TORCH),
    Engine("transformers", "bfloat16", "torch_engine", TORCH),
    Engine("CTranslate2", "float32", "ctranslate2_engine", ("ctranslate2", *TORCH)),
    Engine("CTranslate2", "int8", "ctranslate2_engine", ("ctranslate2", *TORCH)),
    Engine("llama.cpp", "BF16", "llama_engine", ("xllamacpp", "gguf"), encodes=False, alone=True),
    Engine("llama.cpp", "Q8_0", "llama_engine", ("xllamacpp", "gguf"), encodes=False, alone=True),
)
IMAGES = TEXTS = ("ours float32", REFERENCE)
