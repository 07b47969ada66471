"""Tensors of two implementations, one by one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from ._model import Model

Tolerance = float | Mapping[str, float]
PREFIX = "inputs."
SKIPPED = re.compile(r".*(dropout|rotary_emb|position_embedding)|lm_head\.out_proj")  # the engine has no such tensors


class Report:
    """What a comparison found; printed, it is what t5gemma2-compare prints."""

    def __init__(self, core: _core.Comparison):
        self._core = core
        self._json = json.loads(core.json())

    @property
    def passed(self) -> bool:
        return self._core.passed

    @property
    def tensors(self) -> list[dict[str, Any]]:
        """Each tensor's name, verdict and measures, in forward order."""
        return self._json["tensors"]

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [tensor for tensor in self.tensors if tensor["verdict"] != "ok"]

    @property
    def guesses(self) -> list[dict[str, Any]]:
        """What the other implementation does differently, as far as it was found."""
        return self._json["guesses"]

    def to_json(self) -> dict[str, Any]:
        return self._json

    def to_html(self) -> str:
        """One page that needs no network."""
        return self._core.html()

    def text(self, all: bool = False) -> str:
        """With `all` every tensor, not only those that differ."""
        return self._core.text(all)

    def __str__(self) -> str:
        return self.text()

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<t5gemma2.Report: {str(self).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        page = self.to_html().replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{page}" width="100%" height="600"></iframe>'


def compare(mine: Any, theirs: Any, *, tolerance: Tolerance | None = None, input_ids: Any = None,
            decoder_input_ids: Any = None, pixel_values: Any = None) -> Report:
    """Tensors of the same name. Each side is a dict of arrays, a file (safetensors, or transformers' debug tree), or a torch
    module, which is run on the inputs; `mine` may be a Model: then the engine runs the inputs, and says what `theirs` does
    differently. Names are transformers' (docs/names.md) or TransformerLens'. Inputs may stand in a dict or file as
    inputs.input_ids, inputs.decoder_input_ids and inputs.pixel_values. `tolerance`: of each tensor's largest number, or a
    dict of patterns."""
    inputs = {"input_ids": input_ids, "decoder_input_ids": decoder_input_ids, "pixel_values": pixel_values}
    given = {name: value for name, value in inputs.items() if value is not None}
    by_pattern = isinstance(tolerance, Mapping)
    every = None if tolerance is None or by_pattern else _tolerance(tolerance)
    patterns = [(_pattern(name), _tolerance(value)) for name, value in tolerance.items()] if by_pattern else []
    other = _reference(theirs, given, "theirs")
    if isinstance(mine, Model):
        return Report(_core.compare_model(mine._core, other, every, patterns))
    return Report(_core.compare_references(_reference(mine, given, "mine"), other, every, patterns))


def _pattern(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"tolerance: expected patterns of names, found {name!r}")
    return name


def _tolerance(value: Any) -> float:
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"tolerance: expected a number, or a dict of patterns and numbers, found {value!r}")
    if not float(value) >= 0:
        raise ValueError(f"tolerance: expected 0 or more, found {value}")
    return float(value)


def assert_close(mine: Any, theirs: Any, **settings: Any) -> None:
    """Raises AssertionError with the report where `compare` finds a difference, or `theirs` has a tensor that `mine` lacks."""
    __tracebackhide__ = True
    report = compare(mine, theirs, **settings)
    lacking = not isinstance(mine, Model) and report.to_json()["not_ours"]
    if not report.passed or lacking:
        raise AssertionError("\n" + str(report))


def record(module: Any, **inputs: Any) -> dict[str, np.ndarray]:
    """The output of each module inside a torch module in one pass over the inputs, as arrays under transformers' names:
    NAME[1] at the second call of a module; `logits`, and the inputs."""
    import torch

    tensors: dict[str, np.ndarray] = {PREFIX + name: _array(value) for name, value in inputs.items()}
    calls: dict[str, int] = {}

    def keep(path: str, names: Sequence[str]):
        def hook(_module, _inputs, output):
            parts = output if isinstance(output, tuple) else (output,)
            call = calls[path] = calls.get(path, -1) + 1
            for name, part in zip(names, parts, strict=False):
                if torch.is_tensor(part) and part.dtype.is_floating_point:
                    tensors[f"{name}[{call}]" if call else name] = _array(part)
        return hook

    handles = [one.register_forward_hook(keep(path, _names(path, one))) for path, one in module.named_modules()
               if path and not SKIPPED.fullmatch(path)]
    try:
        with torch.no_grad():
            output = module(**{name: _batched(torch.as_tensor(value)) for name, value in inputs.items()})
    finally:
        for handle in handles:
            handle.remove()
    logits = getattr(output, "logits", None)
    if logits is not None:
        tensors["logits"] = _array(logits)
    return tensors


def _batched(value: Any) -> Any:
    """Ids of one text may come without the axis of texts."""
    return value[None] if value.ndim == 1 else value


def _names(path: str, module: Any) -> list[str]:
    """Of a module's outputs."""
    if not path.endswith("self_attn") or "vision_tower" in path:
        return [path]
    merged = type(module).__name__.endswith("MergedAttention")
    return [path, f"{path}.weights", f"{path}.cross_weights"] if merged else [path, f"{path}.weights"]


def _array(value: Any) -> Any:
    """A copy: torch may write over it."""
    if not hasattr(value, "detach"):
        return np.array(value)
    value = value.detach().cpu()
    if str(value.dtype) != "torch.bfloat16":
        return value.numpy().copy()
    import ml_dtypes
    import torch
    return value.contiguous().view(torch.int16).numpy().copy().view(ml_dtypes.bfloat16)


def _narrow(value: Any) -> Any:
    """float64, which the engine does not have, in float32."""
    if not str(getattr(value, "dtype", "")).endswith("float64") or not hasattr(value, "shape"):
        return value
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float32)


def _reference(side: Any, inputs: Mapping[str, Any], name: str) -> _core.Reference:
    if isinstance(side, (str, os.PathLike)):
        reference = _core.Reference.open(str(Path(side)))
        for key, value in inputs.items():
            reference.set(PREFIX + key, value)
        return reference
    if hasattr(side, "named_modules"):
        side = record(side, **inputs)
    if isinstance(side, Model):
        raise TypeError(f"{name}: expected a dict of arrays, a file or a torch module, found a Model; it goes first, as mine")
    if not isinstance(side, Mapping):
        raise TypeError(f"{name}: expected a dict of arrays, a file or a torch module, found {type(side).__name__}")
    if wrong := [key for key in side if not isinstance(key, str)]:
        raise TypeError(f"{name}: expected names of tensors, found {wrong[0]!r}")
    tensors = dict(side) | {PREFIX + key: value for key, value in inputs.items()}
    return _core.Reference.of({key: _narrow(value) for key, value in tensors.items()}, name)
