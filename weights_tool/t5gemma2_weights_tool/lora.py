"""LoRA adapters as PEFT saves them, with numpy alone: the change s B A of each matrix, and whole tensors.

    s = alpha / r, or with use_rslora alpha / sqrt(r); rank_pattern and alpha_pattern as in peft's get_pattern_key
"""
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import names
from .config import read_json
from .errors import expected
from .storage import Checkpoint

WRAPPER = "base_model.model."
LINEAR, EMBEDDING = (".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B")
REFUSED = ("use_dora", "use_qalora", "lora_bias", "fan_in_fan_out", "use_bdlora", "alora_invocation_tokens",
           "layer_replication", "trainable_token_indices", "target_parameters", "arrow_config", "lora_ga_config",
           "corda_config")
PLAIN_INIT = (True, False, None, "gaussian", "eva", "orthogonal", "mica")  # others change the base's weights


@dataclass
class LowRank:
    """A change s B A of a matrix [out, in]; of an embedding [vocab, d] its transpose, with B and A in each other's place."""
    A: np.ndarray  # [r, in]
    B: np.ndarray  # [out, r]
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.B.shape[0], self.A.shape[1]

    def dense(self) -> np.ndarray:
        return (self.scale * (self.B.astype(np.float64) @ self.A)).astype(np.float32)


@dataclass
class Adapter:
    """By canonical names: changes of matrices, tensors in place of the base's, and the base's own."""
    folder: Path
    changes: dict[str, LowRank] = field(default_factory=dict)
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    base_layers: dict[str, np.ndarray] = field(default_factory=dict)


def of_module(patterns: dict | None, module: str, otherwise):
    """The number of the first pattern that the end of the module's name matches."""
    return next((number for key, number in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)


def rank_of(config: dict, module: str) -> int:
    return of_module(config.get("rank_pattern"), module, config["r"])


def scale_of(config: dict, module: str) -> float:
    rank = rank_of(config, module)
    alpha = of_module(config.get("alpha_pattern"), module, config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def check_number(file: Path, name: str, number, least: float) -> None:
    kinds, kind = ((int, float), "a number") if least < 0 else (int, f"a whole number from {least}")
    if isinstance(number, bool) or not isinstance(number, kinds) or not least <= number < math.inf:
        raise expected(file, name, kind, number)


def check_pattern(file: Path, name: str, patterns, least: float) -> None:
    if not isinstance(patterns, dict):
        raise expected(file, name, "an object", patterns)
    for key, number in patterns.items():
        check_number(file, f"{name}.{key}", number, least)
        try:
            re.compile(key)
        except re.error:
            raise expected(file, name, "regular expressions for names of modules", key) from None


def read_adapter_config(folder: Path) -> dict:
    file = folder / "adapter_config.json"
    config = read_json(file)
    if config.get("peft_type") != "LORA":
        raise expected(file, "peft_type", "LORA", config.get("peft_type"))
    for name in REFUSED:
        if config.get(name):
            raise expected(file, name, "none: that kind of LoRA is not done here", config[name])
    if config.get("init_lora_weights") not in PLAIN_INIT:
        raise expected(file, "init_lora_weights", "one that leaves the base as it is", config["init_lora_weights"])
    if config.get("use_rslora") not in (None, True, False):
        raise expected(file, "use_rslora", "true or false", config["use_rslora"])
    for name, patterns, least in ("r", "rank_pattern", 1), ("lora_alpha", "alpha_pattern", -1e9):
        check_number(file, name, config.get(name), least)
        check_pattern(file, patterns, config.get(patterns) or {}, least)
    return config


def read_change(tensors: Checkpoint, a: str, ends: tuple[str, str], config: dict, file: Path) -> LowRank:
    """The change whose first factor is the tensor `a`."""
    module = a.removesuffix(ends[0])
    if module + ends[1] not in tensors.where:
        raise expected(file, module + ends[1], f"a tensor beside {a}", "none")
    A, B = tensors.read(a), tensors.read(module + ends[1])
    path = module.removeprefix(WRAPPER)
    rank = rank_of(config, path)
    if A.ndim != 2 or B.ndim != 2 or not A.shape[0] == B.shape[1] == rank:
        raise expected(file, a, f"factors of rank {rank}, as adapter_config.json says", f"{list(A.shape)} and {list(B.shape)}")
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        raise expected(file, a, "finite numbers", "NaN or infinity")
    scale = scale_of(config, path)
    return LowRank(B.T, A.T, scale) if ends is EMBEDDING else LowRank(A, B, scale)


def canonical(name: str) -> str:
    """The canonical name of a tensor of an adapter, without the names of wrappers; that of an encoder alone becomes the
    model's."""
    name = re.sub(r"^((base_model|model|module|_orig_mod)\.)+", "", name).replace("._orig_mod.", ".")
    if name.startswith(("layers.", "embed_tokens.", "norm.", "text_model.", "vision_tower.", "multi_modal_projector.")):
        name = f"encoder.{name}"
    return names.canonical(f"model.{name}" if name.startswith(("encoder.", "decoder.")) else name) or name


def is_saved(config: dict, name: str) -> bool:
    """Whether a tensor, or a module that it is in, ends like one of modules_to_save."""
    parts = name.split(".")
    modules = [".".join(parts[:end]) for end in range(1, len(parts))]
    return any(module.endswith(saved) for module in modules for saved in config.get("modules_to_save") or [])


def find_weights(folder: Path) -> Path:
    file = folder / "adapter_model.safetensors"
    if not file.exists():
        other = "adapter_model.bin: PEFT writes safetensors when it saves it again"
        raise expected(folder, "weights", file.name, other if (folder / "adapter_model.bin").exists() else "none")
    return file


def put_once(into: dict, name: str, value, file: Path) -> None:
    if name in into:
        raise expected(file, name, "it once", "two spellings of it")
    into[name] = value


def add_whole(adapter: Adapter, name: str, tensors: Checkpoint, config: dict, scale: float, file: Path) -> None:
    """A module's own tensor, or the base's."""
    if ".original_module." in name:  # the base's, beside that of modules_to_save
        return
    plain = re.sub(r"\.(base_layer|modules_to_save(\.default)?)\.", ".", name)
    own = is_saved(config, plain)
    if scale != 1 and (own or plain.endswith(".bias")):
        raise expected(file, name, "low-rank changes alone, to be scaled", "a whole tensor")
    put_once(adapter.whole if own else adapter.base_layers, canonical(plain), tensors.read(name), file)


def read_adapter(folder, scale: float = 1.0) -> Adapter:
    """Its changes are multiplied by `scale`."""
    folder = Path(folder)
    config, file = read_adapter_config(folder), find_weights(folder)
    tensors, adapter = Checkpoint(file), Adapter(folder)
    for name in tensors:
        first, second = (next((kind for kind in (LINEAR, EMBEDDING) if name.endswith(kind[at])), None) for at in (0, 1))
        if first:
            change = read_change(tensors, name, first, config, file)
            change.scale *= scale
            put_once(adapter.changes, canonical(name.removesuffix(first[0]) + ".weight"), change, file)
        elif second:
            a = name.removesuffix(second[1]) + second[0]
            if a not in tensors.where:
                raise expected(file, a, f"a tensor beside {name}", "none")
        elif "lora_" in name or "token_adapter" in name:
            raise expected(file, name, "lora_A, lora_B or whole weights", "another kind of adapter")
        else:
            add_whole(adapter, name, tensors, config, scale, file)
    if not adapter.changes and not adapter.whole:
        raise expected(file, "weights", "those of an adapter", "none")
    return adapter
