"""A loaded model."""

from __future__ import annotations

import atexit
import json
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from . import _core

atexit.register(_core._leave)

Ids = Sequence[int] | np.ndarray  # or what is like an array, such as torch's
Image = str | os.PathLike[str] | np.ndarray  # uint8 [height, width, 3], or Pillow's
Adapter = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]
POCKET = Path(__file__).parent / "pocket"
DTYPES = ("float32", "bfloat16", "int8")


def _pictures(images: Image | Sequence[Image] | None) -> list[Image]:
    """One image alone counts, too."""
    if images is None:
        return []
    alone = isinstance(images, (str, os.PathLike)) or hasattr(images, "dtype") or hasattr(images, "getbands")
    if not alone and (isinstance(images, bytes) or not isinstance(images, Iterable)):
        raise TypeError(f"images: expected an image or a list of them, found {type(images).__name__}")
    return [images] if alone else list(images)


def _is_one(texts: Any) -> bool:
    """Whether it is one text, or the ids of one, in place of several."""
    if isinstance(texts, str):
        return True
    if not isinstance(texts, Sequence) and not hasattr(texts, "ndim"):
        return False
    first = next(iter(texts), "")
    return not isinstance(first, str) and np.ndim(first) == 0


def _listed(texts: Any, name: str) -> list[Any]:
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise TypeError(f"{name}: expected texts or ids, found {type(texts).__name__}")
    return list(texts)


def _whole(value: Any, name: str, least: int, most: int) -> int:
    if isinstance(value, (bool, str)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected a whole number, found {value!r}")
    if not least <= (number := operator.index(value)) <= most:
        raise ValueError(f"{name}: expected {least} to {most}, found {number}")
    return number


def _switch(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, found {value!r}")
    return bool(value)


class Weights(Mapping[str, np.ndarray]):
    """The tensors of the checkpoint under their names in its files: read-only views of the mapped files, float32,
    float16, or ml_dtypes.bfloat16."""

    def __init__(self, core: _core.LoadedModel):
        self._core = core
        self._names = dict.fromkeys(core.weight_names())

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(f"no weight of this name: {name!r}")
        return self._core.weight(name)

    def __repr__(self) -> str:
        return f"<{len(self)} weights>"

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

    def __repr__(self) -> str:
        return "<Trace, not asked for yet>" if self._made is None else f"<Trace of {len(self)} tensors>"


class Model:
    """A model, its tokenizer and its eyes. `load` makes one."""

    def __init__(self, folder: str, dtype: str, threads: int, adapters: list[tuple[str, float]]):
        self.folder = Path(folder)
        self._arguments = (folder, dtype, threads, adapters)
        self._core = _core.LoadedModel(*self._arguments)
        self.weights = Weights(self._core)

    def __repr__(self) -> str:
        _, dtype, _, adapters = self._arguments
        return f"<t5gemma2.Model {self.folder}, {dtype}" + "".join(f" + {name}" for name, _ in adapters) + ">"

    def __reduce__(self) -> tuple:
        """Another process loads it again."""
        return Model, self._arguments

    @property
    def notes(self) -> list[str]:
        """What was unusual about the files."""
        return self._core.notes

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
        Settings are those of generation_config.json that choose tokens: max_new_tokens, do_sample, temperature, top_p,
        num_beams, stop_strings, ...; temperature and its like count where do_sample is True."""
        sample = _switch(settings.pop("do_sample", False), "do_sample")
        return self._core.generate(text_or_ids, _pictures(images), decoder_prompt, _settings(settings), sample,
                                   _whole(seed, "seed", 0, 2**64 - 1), stream)

    @overload
    def embed(self, texts: str | Ids | Sequence[str | Ids], *, pooling: Literal["mean", "cls", "last"] | None = None,
              prompt_name: str | None = None, layer: int | None = None, dimensions: int | None = None,
              normalize: bool = False) -> np.ndarray: ...
    @overload
    def embed(self, texts: str, *, pooling: Literal["none"], prompt_name: str | None = None, layer: int | None = None,
              dimensions: int | None = None, normalize: bool = False) -> np.ndarray: ...
    @overload
    def embed(self, texts: Sequence[str | Ids], *, pooling: Literal["none"], prompt_name: str | None = None,
              layer: int | None = None, dimensions: int | None = None, normalize: bool = False) -> list[np.ndarray]: ...

    def embed(self, texts: str | Ids | Sequence[str | Ids], *,
              pooling: Literal["mean", "cls", "last", "none"] | None = None, prompt_name: str | None = None,
              layer: int | None = None, dimensions: int | None = None,
              normalize: bool = False) -> np.ndarray | list[np.ndarray]:
        """Embeddings [texts, d], of one text [d]; with pooling "none" a list of [n, d]. A folder of sentence-transformers
        says how, unless pooling or layer do: hidden state 0 (the embedded tokens) to the number of layers. `dimensions`
        keeps the first of d and normalizes."""
        one = _is_one(texts)
        made = self._core.embed([texts] if one else _listed(texts, "texts"), pooling, prompt_name,
                                None if layer is None else _whole(layer, "layer", 0, 2**31),
                                None if dimensions is None else _whole(dimensions, "dimensions", 1, 2**31),
                                _switch(normalize, "normalize"))
        return made[0] if one else made

    @overload
    def score(self, text_or_ids: str | Ids, targets: str, images: Image | Sequence[Image] = (), *,
              decoder_prompt: str | Ids | None = None, eos: bool = False) -> dict[str, Any]: ...
    @overload
    def score(self, text_or_ids: str | Ids, targets: Sequence[str | Ids], images: Image | Sequence[Image] = (), *,
              decoder_prompt: str | Ids | None = None, eos: bool = False) -> list[dict[str, Any]]: ...

    def score(self, text_or_ids: str | Ids, targets: str | Ids | Sequence[str | Ids],
              images: Image | Sequence[Image] = (), *, decoder_prompt: str | Ids | None = None,
              eos: bool = False) -> list[dict[str, Any]] | dict[str, Any]:
        """How likely each target is: ids, logprobs (natural logarithms), their sum and mean, perplexity."""
        one = _is_one(targets)
        scores = self._core.score(text_or_ids, _pictures(images), [targets] if one else _listed(targets, "targets"),
                                  decoder_prompt, _switch(eos, "eos"))
        return scores[0] if one else scores

    def trace(self, text_or_ids: str | Ids, decoder_prompt: str | Ids | None = None,
              images: Image | Sequence[Image] = (), *, only: str | Sequence[str] = "*") -> Trace:
        """Every tensor of one pass whose name fits `only`, a pattern or several."""
        patterns = [only] if isinstance(only, str) else list(only)
        pictures = _pictures(images)
        return Trace(lambda: self._core.trace(text_or_ids, pictures, decoder_prompt,
                                              lambda name: any(_fits(name, pattern) for pattern in patterns)))


def _settings(settings: dict[str, Any]) -> str:
    if unknown := settings.keys() - set(_core.setting_names()):
        raise TypeError(f"generate: no such setting: {', '.join(sorted(unknown))}")
    try:
        return json.dumps(settings, default=lambda value: value.tolist(), allow_nan=False)
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(f"generate: settings: expected numbers, texts and lists, found {settings}") from error


def _fits(name: str, pattern: str) -> bool:
    """Brackets in names are no pattern: k_norm[1]."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _adapters(lora: Adapter | Sequence[Adapter] | None) -> list[tuple[str, float]]:
    if isinstance(lora, Mapping):
        raise TypeError("lora: expected a folder, (folder, scale), or a list of these, found a dict")
    pair = isinstance(lora, tuple) and len(lora) == 2 and not isinstance(lora[1], (str, os.PathLike))
    alone = isinstance(lora, (str, os.PathLike)) or pair
    found = []
    for one in [lora] if alone else list(lora or []):
        folder, scale = one if isinstance(one, (tuple, list)) and len(one) == 2 else (one, 1.0)
        if not isinstance(folder, (str, os.PathLike)) or isinstance(scale, str):
            raise TypeError(f"lora: expected a folder, or (folder, scale), found {one!r}")
        found.append((os.fspath(folder), float(scale)))
    return found


def load(folder_or_hub_id: str | os.PathLike[str] | None = None, *, dtype: Literal["float32", "bfloat16", "int8"] = "float32",
         threads: int | None = None, lora: Adapter | Sequence[Adapter] | None = None) -> Model:
    """The model in a folder, or of a hub id in the Hugging Face cache; None: the pocket model. `lora`: folders of adapters,
    each with a scale where that is not 1. Raises Error where it cannot be loaded."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype: expected {', '.join(DTYPES)}, found {dtype!r}")
    count = 0 if threads is None else _whole(threads, "threads", 1, 1024)
    if not isinstance(folder_or_hub_id, (str, os.PathLike, type(None))):
        raise TypeError(f"load: expected a folder or a hub id, found {type(folder_or_hub_id).__name__}")
    folder = POCKET if folder_or_hub_id is None else _core.find_model(folder_or_hub_id)
    return Model(str(folder), dtype, count, _adapters(lora))
