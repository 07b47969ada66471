"""`weights_tool merge`: a checkpoint with LoRA adapters merged into its weights, W + s B A for W, in the base's dtype.

Where an adapter changes one of the tied embeddings and head and not the others, the new folder stores each of them.
transformers adds an embedding's change to the end-of-image token's vector, too, so that is changed as well (PEFT's own
merge_and_unload leaves it).
"""
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from . import names
from .config import normalise, read_json, write_json
from .console import say
from .errors import UserError, expected
from .flags import add_command, add_model
from .lora import Adapter, LowRank, read_adapter
from .storage import DTYPE_BYTES, Checkpoint, Source, make_folder, write_checkpoint

SHARD_BYTES = 4 << 30
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
TIED = (names.EMBEDDING, names.HEAD, names.DECODER_EMBEDDING)  # in the order in which they serve for one another
MOST = {"float32": float(np.finfo(np.float32).max), "float16": float(np.finfo(np.float16).max), "bfloat16": 3.3895e38}
OF_TOKENIZER = ("tokenizer", "special_tokens_map.json", "added_tokens.json", "chat_template")
OF_MODEL = (*OF_TOKENIZER, "generation_config.json", "processor_config.json", "preprocessor_config.json", "LICENSE")
EOIS = {names.EMBEDDING: names.EOI, names.DECODER_EMBEDDING: names.DECODER_EOI}


def add_merge(commands) -> None:
    parser = add_command(commands, "merge", "LoRA adapters merged into a checkpoint",
                         "examples/pocket --lora adapter -o merged",
                         "base --lora adapter=0.5 --lora other --dtype float32 -o merged")
    add_model(parser)
    parser.add_argument("--lora", action="append", required=True, metavar="FOLDER[=SCALE]",
                        help="adapter as PEFT saves it; repeatable")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--dtype", choices=sorted(DTYPE_BYTES), help="of the new weights (default: the base's)")
    parser.add_argument("--force", action="store_true", help="replace the weights in the output folder")
    parser.set_defaults(run=run_merge)


def named_adapter(text: str) -> Adapter:
    """FOLDER or FOLDER=SCALE."""
    folder, equals, scale = text.rpartition("=")
    if not equals or Path(text).is_dir():
        return read_adapter(text)
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"--lora: expected FOLDER or FOLDER=SCALE with a number, found {text}")
    return read_adapter(folder, number)


class Merged:
    """The tensors of a checkpoint, by canonical name, with adapters in them."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.checkpoint = folder, Checkpoint(folder)
        self.eoi = config["encoder"].get("eoi_token_index", config.get("eoi_token_index"))
        self.stored = {names.canonical(name): name for name in self.checkpoint if names.canonical(name)}
        self.tied = config.get("tie_word_embeddings", True)
        self.shapes = {name: self.checkpoint.shape(stored) for name, stored in self.stored.items()}
        self.values: dict[str, Callable[[], np.ndarray]] = {
            name: lambda stored=stored: self.checkpoint.read(stored) for name, stored in self.stored.items()}
        self.added: dict[str, list[Callable[[], np.ndarray]]] = {}  # to the values
        self.adapters: list[Adapter] = []

    def value(self, name: str, most: float) -> np.ndarray:
        """What is written, where a dtype holds numbers up to `most`."""
        value = sum((change() for change in self.added.get(name, [])), start=self.values[name]())
        if not np.abs(value).max() <= most:
            raise expected(self.folder, name, f"merged numbers up to {most:g}, which the dtype holds", np.abs(value).max())
        return value

    def dtype(self) -> str:
        """That of the embedding."""
        name = next((self.stored[name] for name in TIED if name in self.stored), None)
        if name is None:
            raise expected(self.folder, names.EMBEDDING, "it in the checkpoint", "none")
        return DTYPES[self.checkpoint.where[name][1]]

    def untie(self) -> None:
        """Every use of the embedding gets a tensor of its own."""
        if not self.tied:
            return
        names.tie(self.values)
        names.tie(self.shapes)
        self.tied = False

    def apply(self, adapter: Adapter) -> None:
        """The base's own tensors first, as the adapter was trained upon them, then a module's own, then changes."""
        self.refuse_meeting(adapter)
        for name, value in adapter.base_layers.items():
            self.put_base(adapter, name, value)
        if {*TIED, *EOIS.values()} & {*adapter.changes, *adapter.whole}:
            self.untie()
        for name, value in adapter.whole.items():
            self.put(adapter, name, value)
        for name, change in adapter.changes.items():
            self.add(adapter, name, change)
        self.adapters.append(adapter)

    def refuse_meeting(self, adapter: Adapter) -> None:
        """Two adapters at a tensor that one of them holds whole."""
        for earlier in self.adapters:
            both = adapter.whole.keys() & {*earlier.whole, *earlier.changes} | adapter.changes.keys() & earlier.whole.keys()
            for name in sorted(both):
                raise expected(adapter.folder, name, "no other adapter there, as one of them holds it whole", earlier.folder)

    def put_base(self, adapter: Adapter, name: str, value: np.ndarray) -> None:
        """In place of what the base stores for it: its own tensor, or that which it is tied to."""
        group = (name, *TIED) if name in TIED else (name, *EOIS.values()) if name in EOIS.values() else (name,)
        self.put(adapter, next((one for one in group if one in self.values), name), value)

    def put(self, adapter: Adapter, name: str, value: np.ndarray) -> None:
        """In place of a tensor; the vocabulary may have another size."""
        self.check(adapter, name, value.shape, resized=name in TIED)
        self.values[name], self.shapes[name] = (lambda: value), value.shape

    def add(self, adapter: Adapter, name: str, change: LowRank) -> None:
        """To a matrix; the end-of-image vector stands in the place of a scaled row of the embedding."""
        self.check(adapter, name, change.shape)
        self.added.setdefault(name, []).append(change.dense)
        if name in EOIS and self.eoi is not None and self.eoi < change.shape[0]:
            row = LowRank(change.A, change.B[self.eoi:self.eoi + 1], change.scale * math.sqrt(change.shape[1]))
            self.added.setdefault(EOIS[name], []).append(lambda: row.dense()[0])

    def check(self, adapter: Adapter, name: str, shape: tuple, resized: bool = False) -> None:
        file = adapter.folder / "adapter_model.safetensors"
        if name not in self.shapes:
            raise expected(file, name, "a module of the model", "none of that name: is it another base model's?")
        here = self.shapes[name]
        if shape != here and not (resized and shape[1:] == here[1:]):
            raise expected(file, name, f"shape {list(here)}, which the model has there", list(shape))


def merged_config(config: dict, merged: Merged, dtype: str) -> dict:
    """config.json of the new folder."""
    rows = {merged.shapes[name][0] for name in TIED if name in merged.shapes}
    if len(rows) != 1:
        raise expected(merged.folder, "vocabulary", "one size in embeddings and head", sorted(rows))
    size = rows.pop()
    config = {**config, "dtype": dtype, "tie_word_embeddings": merged.tied}
    for section in (config, config["encoder"]["text_config"], config["decoder"]):
        if "vocab_size" in section:
            section["vocab_size"] = size
    return config


def copy_files(base: Path, adapters: list[Path], to: Path) -> None:
    """What runs beside the weights; the tokenizer of the last adapter that has one."""
    tokenizers = [folder for folder in adapters if (folder / "tokenizer.json").exists() or (folder / "tokenizer.model").exists()]
    for folder, starts in [(base, OF_MODEL), *((folder, OF_TOKENIZER) for folder in tokenizers)]:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.startswith(starts):
                shutil.copyfile(file, to / file.name)


def run_merge(args) -> None:
    base = Path(args.model)
    config = normalise(read_json(base / "config.json"), base / "config.json")
    merged, adapters = Merged(base, config), [named_adapter(text) for text in args.lora]
    dtype = args.dtype or merged.dtype()
    for adapter in adapters:
        merged.apply(adapter)
    if args.output.resolve() in {folder.resolve() for folder in (base, *(adapter.folder for adapter in adapters))}:
        raise expected(args.output, "-o", "a folder that is not read from", "one that is")
    new_config = merged_config(config, merged, dtype)
    folder = make_folder(args.output, args.force)
    write_json(folder / "config.json", new_config)
    copy_files(base, [adapter.folder for adapter in adapters], folder)
    sources = {names.spell(name, "hub"): Source(merged.shapes[name], lambda name=name: merged.value(name, MOST[dtype]))
               for name in merged.values}
    size = sum(math.prod(shape) for shape in merged.shapes.values()) * DTYPE_BYTES[dtype]
    write_checkpoint(folder, sources, dtype, shards=max(1, math.ceil(size / SHARD_BYTES)))
    say(f"{folder}: {len(sources)} tensors, {dtype}, with {len(adapters)} adapter{'s' * (len(adapters) > 1)}")
