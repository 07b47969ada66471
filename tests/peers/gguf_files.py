"""GGUF files of pocket: its decoder, its encoder as EmbeddingGemma, adapters, and one that says what it is."""
import json
from functools import cache
from pathlib import Path

import gguf
import numpy as np
from abilities import scratch
from definition import POCKET, adapter
from safetensors.numpy import load_file
from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.adapt import t5gemma2_name
from t5gemma2_weights_tool.config import normalise, read_json
from t5gemma2_weights_tool.gemma3 import GGUF_LAYER
from t5gemma2_weights_tool.peers.gguf_decoder import add_sizes, add_vocabulary, tensor_names, write_gguf
from t5gemma2_weights_tool.storage import Checkpoint

@cache
def decoder(precision: str = "F32", model: Path = POCKET) -> Path:
    file = scratch() / f"{model.name}-{precision}.gguf"
    write_gguf(model, file, precision)
    return file


def write(writer: gguf.GGUFWriter, tensors: dict[str, np.ndarray]) -> None:
    for name, values in tensors.items():
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@cache
def encoder(architecture: str) -> Path:
    """As any architecture; its layers are Gemma 3's, and the mean of its output is what is asked for."""
    checkpoint, file = Checkpoint(POCKET), scratch() / f"{architecture}.gguf"
    text = normalise(read_json(POCKET / "config.json"), POCKET / "config.json")["encoder"]["text_config"]
    stored = {names.canonical(name): name for name in checkpoint}
    ours = {"token_embd.weight": names.EMBEDDING, "output_norm.weight": f"{names.ENCODER}.norm.weight"}
    for i in range(text["num_hidden_layers"]):
        ours |= {f"blk.{i}.{name}.weight": t5gemma2_name(names.ENCODER, f"layers.{i}.{gemma3}.weight")
                 for name, gemma3 in GGUF_LAYER.items()}
    tensors = {name: checkpoint.read(stored[ours[name]]) for name in ours}
    writer = gguf.GGUFWriter(file, architecture)
    add_sizes(writer, text)
    add_vocabulary(writer, text)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    write(writer, {name: 1 + values if values.ndim == 1 else values for name, values in tensors.items()})
    return file


@cache
def lora(number: int) -> Path:
    """An adapter of the decoder."""
    folder, file = adapter(number), scratch() / f"adapter-{number}.gguf"
    theirs = {ours.removeprefix(f"{names.DECODER}.").removesuffix(".weight"): name
              for name, ours in tensor_names(6).items()}
    writer = gguf.GGUFWriter(file, "gemma3")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, json.loads((folder / "adapter_config.json").read_text())["lora_alpha"])
    tensors = {}
    for name, values in load_file(folder / "adapter_model.safetensors").items():
        module, _, factor = name.partition(f"{names.DECODER}.")[2].removesuffix(".weight").rpartition(".lora_")
        tensors[f"{theirs[module]}.lora_{factor.lower()}"] = values
    write(writer, tensors)
    return file
