"""Gemma 3 checkpoints to read from: a Hugging Face folder or a GGUF file, behind one small interface.

`text` is a normalised text config, tensor names are transformers' Gemma3TextModel's (`embed_tokens.weight`,
`layers.0.input_layernorm.weight`, `norm.weight`), values are float32 as transformers would hold them.
"""
import re
from pathlib import Path

import numpy as np

from .config import normalise_text, read_json
from .console import say
from .errors import UserError, expected
from .storage import Checkpoint

TEXT_KEYS = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "head_dim", "sliding_window", "rms_norm_eps", "query_pre_attn_scalar",
             "layer_types", "rope_parameters", "max_position_embeddings", "hidden_activation",
             "final_logit_softcapping", "attn_logit_softcapping", "bos_token_id", "eos_token_id", "pad_token_id")

# GGUF -> transformers, within a layer (`blk.0.` is `layers.0.`) and outside.
GGUF_LAYER = {
    "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
GGUF_OUTSIDE = {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}

# Gemma 3's own constants, which a GGUF file does not carry (llama.cpp has them in its source, too).
LOCAL_ROPE_THETA = 10000.0
SLIDING_WINDOW_PATTERN = 6


def open_gemma3(path: Path):
    """A Gemma3Folder or Gemma3Gguf."""
    if path.is_dir():
        return Gemma3Folder(path)
    if not path.exists():
        raise expected(path, "Gemma 3", "a folder or a .gguf file", "nothing")
    return Gemma3Gguf(path)


class Gemma3Folder:
    """A Hugging Face folder, of the text model or of the one with vision, whose text half is read."""
    origin = "values as stored in the original"

    def __init__(self, folder: Path):
        self.file = folder
        config = read_json(folder / "config.json")
        text = config.get("text_config", config)
        if text.get("model_type") != "gemma3_text":
            raise expected(folder / "config.json", "model_type", "gemma3_text", text.get("model_type"))
        if text.get("use_bidirectional_attention"):
            raise expected(folder / "config.json", "use_bidirectional_attention", "false", "true")
        normalise_text(text, folder / "config.json", "text_config" if "text_config" in config else "top level")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            text.setdefault(name, config.get(name))
        self.text = {name: text.get(name) for name in TEXT_KEYS}
        self.checkpoint = Checkpoint(folder)
        self.stored = self.text_tensors()

    def text_tensors(self) -> dict[str, str]:
        """{Gemma3TextModel name: stored name}; vision is left out, a head must be the embedding itself."""
        result, head = {}, None
        for stored in self.checkpoint:
            name = re.sub(r"^(language_model\.model|model\.language_model|model)\.", "", stored)
            if stored.endswith("lm_head.weight"):
                head = stored
            elif not re.match(r"(vision_tower|multi_modal_projector)\.", name):
                result[name] = stored
        embedding = result.get("embed_tokens.weight")
        if head and embedding and not np.array_equal(self.checkpoint.read(head), self.checkpoint.read(embedding)):
            raise expected(self.file, head, "the embedding itself (Gemma 3 ties them)", "other values")
        if len(result) + bool(head) < len(self.checkpoint.where):
            say(f"note: {self.file}: vision tensors left out")
        return result

    def layer_tensors(self) -> list[str]:
        return [name for name in self.stored if name != "embed_tokens.weight"]

    def shape(self, name: str) -> tuple:
        if name not in self.stored:
            raise expected(self.file, "tensors", name, "nothing of that name")
        return self.checkpoint.shape(self.stored[name])

    def read(self, name: str) -> np.ndarray:
        return self.checkpoint.read(self.stored[name])


def gguf_name(stored: str) -> str | None:
    """transformers' name of a GGUF tensor; None for one that Gemma 3 does not have."""
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", stored)
    if match and match[2] in GGUF_LAYER:
        return f"layers.{match[1]}.{GGUF_LAYER[match[2]]}.weight"
    return GGUF_OUTSIDE.get(stored)


class Gemma3Gguf:
    """A GGUF file, quantised or not. Norm weights are stored as 1 + w there; nothing is permuted."""
    origin = "dequantised from the GGUF file"

    def __init__(self, file: Path):
        try:
            import gguf
        except ImportError:
            raise UserError("reading GGUF needs gguf: pip install 't5gemma2-weights-tool[adapt]'") from None
        self.file, self.dequantize = file, gguf.dequantize
        try:
            self.reader = gguf.GGUFReader(file)
        except Exception as error:  # the reader raises whatever the bytes lead it to
            raise expected(file, "content", "a GGUF file", error) from None
        self.tensors = {}
        for tensor in self.reader.tensors:
            name = gguf_name(tensor.name)
            if name is None:
                raise expected(file, "tensors", "only Gemma 3 names", tensor.name)
            self.tensors[name] = tensor
        self.text = self.text_config()

    def field(self, name: str, *default):
        """A metadata value; without a default it must be there."""
        entry = self.reader.fields.get(name)
        if entry is None and not default:
            raise expected(self.file, name, "a value", "nothing")
        return entry.contents() if entry is not None else default[0]

    def text_config(self) -> dict:
        """Gemma 3's text config from the metadata and the constants above."""
        architecture = self.field("general.architecture")
        if architecture != "gemma3":
            raise expected(self.file, "general.architecture", "gemma3", architecture)
        head_dim, scaling = self.field("gemma3.attention.key_length"), self.field("gemma3.rope.scaling.factor", 1.0)
        kind = {"rope_type": "default"} if scaling == 1 else {"rope_type": "linear", "factor": float(scaling)}
        local = float(self.field("gemma3.rope.freq_base_swa", LOCAL_ROPE_THETA))
        text = {
            "vocab_size": self.shape("embed_tokens.weight")[0],
            "hidden_size": self.field("gemma3.embedding_length"),
            "intermediate_size": self.field("gemma3.feed_forward_length"),
            "num_hidden_layers": self.field("gemma3.block_count"),
            "num_attention_heads": self.field("gemma3.attention.head_count"),
            "num_key_value_heads": self.field("gemma3.attention.head_count_kv"),
            "head_dim": head_dim, "query_pre_attn_scalar": self.query_scalar(head_dim),
            "sliding_window": self.field("gemma3.attention.sliding_window"),
            "sliding_window_pattern": SLIDING_WINDOW_PATTERN,
            "rms_norm_eps": float(f"{self.field('gemma3.attention.layer_norm_rms_epsilon'):.6g}"),  # float32 1e-6
            "max_position_embeddings": self.field("gemma3.context_length"),
            "rope_parameters": {
                "full_attention": {"rope_theta": float(self.field("gemma3.rope.freq_base")), **kind},
                "sliding_attention": {"rope_theta": local, "rope_type": "default"}},
            "hidden_activation": "gelu_pytorch_tanh",
            "final_logit_softcapping": self.field("gemma3.final_logit_softcapping", None),
            "bos_token_id": self.field("tokenizer.ggml.bos_token_id", 2),
            "eos_token_id": self.field("tokenizer.ggml.eos_token_id", 1),
            "pad_token_id": self.field("tokenizer.ggml.padding_token_id", 0),
        }
        normalise_text(text, self.file, "metadata")
        return {name: text.get(name) for name in TEXT_KEYS}

    def query_scalar(self, head_dim: int) -> int:
        """The attention scale is head_dim^-1/2 except in the 27B model (62 layers), where it is hidden / heads."""
        if self.field("gemma3.block_count") != 62:
            return head_dim
        return self.field("gemma3.embedding_length") // self.field("gemma3.attention.head_count")

    def layer_tensors(self) -> list[str]:
        return [name for name in self.tensors if name != "embed_tokens.weight"]

    def shape(self, name: str) -> tuple:
        """GGUF lists the innermost dimension first."""
        if name not in self.tensors:
            raise expected(self.file, "tensors", name, "nothing of that name")
        return tuple(int(size) for size in reversed(self.tensors[name].shape))

    def read(self, name: str) -> np.ndarray:
        tensor = self.tensors[name]
        values = self.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(self.shape(name))
        return values - 1 if name.endswith("norm.weight") else values
