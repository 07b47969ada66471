"""A loaded model."""

from __future__ import annotations

import atexit
import codecs
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import _core

os.register_at_fork(after_in_child=_core.after_fork)
atexit.register(_core.leave)

Ids = Sequence[int]
Image = str | os.PathLike[str] | np.ndarray
Adapter = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]
POCKET = Path(__file__).parent / "pocket"


def _pictures(images: Image | Sequence[Image]) -> list[Image]:
    """One image alone counts, too."""
    return [images] if isinstance(images, (str, os.PathLike)) or hasattr(images, "dtype") else list(images)


class Weights(Mapping[str, np.ndarray]):
    """The tensors of the checkpoint under their names in its files: read-only views of the mapped files, float32,
    float16, or ml_dtypes.bfloat16."""

    def __init__(self, core: _core.LoadedModel):
        self._core = core
        self._names = core.weight_names()

    def __getitem__(self, name: str) -> np.ndarray:
        return self._core.weight(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Trace(Mapping[str, np.ndarray]):
    """The tensors of one pass under transformers' names, in forward order; the pass runs when the first is asked for."""

    def __init__(self, run: Callable[[], dict[str, np.ndarray]]):
        self._run = run
        self._made: dict[str, np.ndarray] | None = None

    def _tensors(self) -> dict[str, np.ndarray]:
        if self._made is None:
            self._made = self._run()
        return self._made

    def __getitem__(self, name: str) -> np.ndarray:
        return self._tensors()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors())

    def __len__(self) -> int:
        return len(self._tensors())


class Model:
    """A model, its tokenizer and its eyes. `load` makes one."""

    def __init__(self, folder: Path, core: _core.LoadedModel):
        self.folder = folder
        self._core = core

    @property
    def notes(self) -> list[str]:
        """What was unusual about the files."""
        return self._core.notes

    @property
    def weights(self) -> Weights:
        return Weights(self._core)

    def tokenize(self, text: str, images: Image | Sequence[Image] = ()) -> list[int]:
        """The encoder's ids, bos in front; with images, their tokens at <start_of_image> or else in front."""
        return self._core.tokenize(text, _pictures(images))

    def detokenize(self, ids: Ids, show_special: bool = False) -> str:
        return self._core.detokenize(ids, show_special)

    def encode(self, text_or_ids: str | Ids, images: Image | Sequence[Image] = ()) -> np.ndarray:
        """H [n, d], the encoder's output."""
        return self._core.encode(text_or_ids, _pictures(images))

    def decode(self, H: np.ndarray, ids: str | Ids | None = None) -> np.ndarray:
        """Logits [m, vocab] of the decoder's ids; None: the start id alone."""
        return self._core.decode(H, ids)

    def generate(self, text_or_ids: str | Ids, images: Image | Sequence[Image] = (), *,
                 decoder_prompt: str | Ids | None = None, stream: Callable[[str], object] | None = None, seed: int = 0,
                 **settings: Any) -> str:
        """The text that follows. `stream` gets each piece as it is made, and ends the text where it returns False.
        Settings are those of generation_config.json: max_new_tokens, do_sample, temperature, top_p, num_beams, ..."""
        sample = bool(settings.pop("do_sample", False))
        return self._core.generate(text_or_ids, _pictures(images), decoder_prompt, self._settings(settings), sample, seed,
                                   _whole_characters(stream) if stream else None)

    def embed(self, texts: str | Sequence[str | Ids], *, pooling: Literal["mean", "cls", "last", "none"] | None = None,
              prompt_name: str | None = None, layer: int | None = None, dimensions: int | None = None,
              normalize: bool = False) -> np.ndarray | list[np.ndarray]:
        """Embeddings [texts, d], of one text [d]; with pooling "none" a list of [n, d]. A folder of
        sentence-transformers says how."""
        one = isinstance(texts, str)
        made = self._core.embed([texts] if one else list(texts), pooling, prompt_name, layer, dimensions, normalize)
        if pooling == "none":
            return made[0] if one else made
        if one:
            return made[0][0]
        return np.concatenate(made) if made else np.empty((0, dimensions or self._core.hidden_size), np.float32)

    def score(self, text_or_ids: str | Ids, targets: str | Sequence[str | Ids], images: Image | Sequence[Image] = (), *,
              decoder_prompt: str | Ids | None = None, eos: bool = False) -> list[dict[str, Any]] | dict[str, Any]:
        """How likely each target is: ids, logprobs (natural logarithms), their sum and mean, perplexity."""
        one = isinstance(targets, str)
        scores = self._core.score(text_or_ids, _pictures(images), [targets] if one else list(targets), decoder_prompt, eos)
        return scores[0] if one else scores

    def trace(self, text_or_ids: str | Ids, decoder_prompt: str | Ids | None = None,
              images: Image | Sequence[Image] = (), *, only: str | Sequence[str] = "*") -> Trace:
        """Every tensor of one pass whose name fits `only`, a pattern or several."""
        patterns = [only] if isinstance(only, str) else list(only)
        pictures = _pictures(images)
        return Trace(lambda: self._core.trace(text_or_ids, pictures, decoder_prompt,
                                              lambda name: any(_fits(name, pattern) for pattern in patterns)))

    def _settings(self, settings: dict[str, Any]) -> str:
        """The checkpoint's generation settings with these in place of its own."""
        if unknown := settings.keys() - set(_core.setting_names()):
            raise TypeError(f"generate: no such setting: {', '.join(sorted(unknown))}")
        files = (Path(self._core.folder) / name for name in ("generation_config.json", "config.json"))
        known = next(json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists())
        try:
            return json.dumps(known | settings, default=lambda value: value.item(), allow_nan=False)
        except (AttributeError, ValueError) as error:
            raise TypeError(f"generate: settings: expected numbers, texts and lists, found {settings}") from error


def _fits(name: str, pattern: str) -> bool:
    """Brackets in names are no pattern: k_norm[1]."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _whole_characters(stream: Callable[[str], object]) -> Callable[[bytes], object]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def piece(text: bytes) -> object:
        return stream(decoder.decode(text))
    return piece


def load(folder_or_hub_id: str | os.PathLike[str] | None = None, *, dtype: Literal["float32", "bfloat16", "int8"] = "float32",
         threads: int | None = None, lora: Adapter | Sequence[Adapter] | None = None) -> Model:
    """The model in a folder, or of a hub id in the Hugging Face cache; None: the pocket model. `lora`: folders of adapters,
    each with a scale where that is not 1. Raises Error where it cannot be loaded."""
    folder = str(POCKET) if folder_or_hub_id is None else _core.find_model(os.fspath(folder_or_hub_id))
    alone = isinstance(lora, (str, os.PathLike)) or (isinstance(lora, tuple) and len(lora) == 2
                                                     and not isinstance(lora[1], (str, os.PathLike)))
    adapters = [lora] if alone else list(lora or [])
    named = [(os.fspath(one[0]), float(one[1])) if isinstance(one, tuple) else (os.fspath(one), 1.0) for one in adapters]
    if threads is not None and threads < 1:
        raise ValueError(f"threads: expected 1 to 1024, found {threads}")
    return Model(Path(folder), _core.LoadedModel(folder, dtype, threads or 0, named))
