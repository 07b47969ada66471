"""The decoder of a checkpoint as a Gemma 3 in a GGUF file, which is what it is without encoder input."""
from pathlib import Path

import gguf
import numpy as np

from .. import names
from ..adapt import t5gemma2_name
from ..config import normalise, read_json
from ..errors import expected
from ..gemma3 import GGUF_LAYER
from ..storage import Checkpoint


def tensor_names(layers: int) -> dict[str, str]:
    """{name in GGUF: canonical name here}."""
    found = {"token_embd.weight": names.EMBEDDING, "output_norm.weight": f"{names.DECODER}.norm.weight"}
    for i in range(layers):
        for name, gemma3 in GGUF_LAYER.items():
            found[f"blk.{i}.{name}.weight"] = t5gemma2_name(names.DECODER, f"layers.{i}.{gemma3}.weight")
    return found


def add_sizes(writer: gguf.GGUFWriter, text: dict) -> None:
    rope = text["rope_parameters"]
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_key_length(text["head_dim"])
    writer.add_value_length(text["head_dim"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_sliding_window(text["sliding_window"])
    writer.add_rope_freq_base(rope["full_attention"]["rope_theta"])
    if rope["full_attention"]["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["full_attention"]["factor"])


def add_vocabulary(writer: gguf.GGUFWriter, text: dict) -> None:
    """Ids go in and come out, so any pieces do."""
    size = text["vocab_size"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{id}>" for id in range(size)])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([int(gguf.TokenType.NORMAL)] * size)
    writer.add_bos_token_id(text["bos_token_id"])
    writer.add_eos_token_id(text["eos_token_id"])
    writer.add_add_bos_token(False)


def write_gguf(folder: Path, file: Path, precision: str) -> None:
    """`precision` is that of matrices: BF16 or Q8_0."""
    checkpoint = Checkpoint(folder)
    text = normalise(read_json(folder / "config.json"), folder / "config.json")["decoder"]
    stored = {names.canonical(name): name for name in checkpoint}
    if untied := {names.HEAD, names.DECODER_EMBEDDING} & set(stored):
        raise expected(folder, min(untied), "the encoder's embedding", "another, stored beside it")
    writer = gguf.GGUFWriter(file, "gemma3")
    add_sizes(writer, text)
    add_vocabulary(writer, text)
    kind = gguf.GGMLQuantizationType[precision]
    for name, ours in tensor_names(text["num_hidden_layers"]).items():
        values = checkpoint.read(stored[ours])
        if values.ndim == 1:
            writer.add_tensor(name, (1 + values).astype(np.float32))  # a norm's factor as a whole
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
