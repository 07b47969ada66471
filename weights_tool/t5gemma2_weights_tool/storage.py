"""safetensors files and sharded checkpoint folders with numpy alone, bfloat16 included.

numpy has no bfloat16, so a tensor to be written is a plain float32 array plus the name of its storage type, and a
tensor read comes back as float32.
"""
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, TensorSpec, safe_open, serialize_file

from .config import read_json, write_json
from .console import bar
from .errors import UserError, expected

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
INDEX = "model.safetensors.index.json"


@dataclass
class Source:
    """A tensor to be written: its shape is known at once, its float32 values are made when its shard is."""
    shape: tuple
    values: Callable[[], np.ndarray]


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 -> the upper 16 bits (uint16), rounded to nearest, ties to even. NaN stays NaN."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """uint16 bfloat16 bits -> float32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def as_stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values as the array whose bytes go into the file."""
    return to_bfloat16(x) if dtype == "bfloat16" else np.ascontiguousarray(x, dtype)


def write_tensors(path, arrays: Mapping[str, np.ndarray], dtypes: Mapping[str, str] | None = None) -> None:
    """One safetensors file; `dtypes` names the storage type where it is not the array's own (bfloat16)."""
    dtypes = dtypes or {}
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    specs = {name: TensorSpec(dtype=dtypes.get(name, array.dtype.name), shape=array.shape,
                              data_ptr=array.ctypes.data, data_len=array.nbytes) for name, array in arrays.items()}
    try:
        serialize_file(specs, str(path), metadata={"format": "pt"})
        Path(path).chmod(0o644)  # the library makes files only their owner can read
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot write: {error}") from None


def split(sources: Mapping[str, Source], shards: int) -> list[list[str]]:
    """Names in order, cut into `shards` non-empty runs of about equal size."""
    sizes = np.cumsum([int(np.prod(source.shape)) for source in sources.values()])
    names = list(sources)
    cuts = np.searchsorted(sizes, sizes[-1] * np.arange(1, shards) / shards, side="left") + 1
    runs = [names[a:b] for a, b in zip([0, *cuts], [*cuts, len(names)])]
    return [run for run in runs if run]


def write_checkpoint(folder, sources: Mapping[str, Source], dtype: str, shards: int = 1) -> None:
    """model.safetensors, or shards with model.safetensors.index.json; only one shard is in memory at a time."""
    folder = Path(folder)
    runs = split(sources, shards)
    files = ["model.safetensors"] if len(runs) == 1 else [
        f"model-{i:05}-of-{len(runs):05}.safetensors" for i in range(1, len(runs) + 1)]
    with bar(len(sources), "making", "tensor") as making:
        for file, run in zip(files, runs):
            arrays = {}
            for name in run:
                arrays[name] = as_stored(sources[name].values(), dtype)
                making.update()
            write_tensors(folder / file, arrays, dict.fromkeys(run, dtype))
    if len(runs) > 1:
        total = sum(int(np.prod(source.shape)) for source in sources.values()) * DTYPE_BYTES[dtype]
        weight_map = {name: file for file, run in zip(files, runs) for name in run}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def make_folder(folder, force: bool) -> Path:
    """An empty output folder. `force` removes the files of an earlier checkpoint in it, and only those."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make the folder: {error.strerror}") from None
    if any(folder.iterdir()) and not force:
        raise expected(folder, "output folder", "an empty or new folder, or --force", "files in it")
    for pattern in ("*.safetensors", "*.safetensors.index.json"):
        for file in folder.glob(pattern):
            file.unlink()
    return folder


class Checkpoint:
    """The tensors of a folder (one file or shards) or of one safetensors file, read one at a time as float32."""

    def __init__(self, folder):
        self.files = find_files(Path(folder))
        self.where = {}
        for file in self.files:
            for name, entry in read_header(file).items():
                if name in self.where:
                    raise expected(file, name, "each tensor once", f"it in {self.where[name][0].name} too")
                self.where[name] = (file, entry["dtype"], tuple(entry["shape"]), entry["data_offsets"])

    def __iter__(self):
        return iter(self.where)

    def __len__(self):
        return len(self.where)

    def shape(self, name: str) -> tuple:
        return self.where[name][2]

    def read(self, name: str) -> np.ndarray:
        """float32 values of a tensor stored as F32, F16 or BF16."""
        file, dtype, shape, (begin, end) = self.where[name]
        if dtype not in ("F32", "F16", "BF16"):
            raise expected(file, name, "F32, F16 or BF16", dtype)
        with open(file, "rb") as stream:
            base = 8 + struct.unpack("<Q", stream.read(8))[0]
            stream.seek(base + begin)
            raw = stream.read(end - begin)
        if dtype == "BF16":
            return from_bfloat16(np.frombuffer(raw, np.uint16)).reshape(shape)
        return np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32).reshape(shape)


def find_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: the index's shards, or the single file."""
    index = folder / INDEX
    if folder.is_file():
        return [folder]
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
            raise expected(index, "weight_map", "an object of file names", weight_map)
        return [folder / file for file in sorted(set(weight_map.values()))]
    if not (folder / "model.safetensors").exists():
        raise expected(folder, "weights", f"model.safetensors or {INDEX}", "neither")
    return [folder / "model.safetensors"]


def read_header(file: Path) -> dict[str, dict]:
    """{name: {dtype, shape, data_offsets}}, after the safetensors library has accepted the file."""
    try:
        with safe_open(file, framework="np"):
            pass
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: cannot read as safetensors: {error}") from None
    with open(file, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    header.pop("__metadata__", None)
    return header
