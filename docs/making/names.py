"""The tables of docs/names.md: what one thing is called in the paper, in transformers, in a checkpoint, in this engine
and in TransformerLens. Each table raises unless it names every tensor of a trace of the pocket model, and every stored
tensor, and no other. weights_tool/tests/test_torch_reading_guide.py compares the hooks, where TransformerLens is there.
"""
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from repository import ROOT, run
from safetensors import safe_open
from sizes import config_of
from t5gemma2_weights_tool.markdown import table

POCKET = ROOT / "examples/pocket"
TRACE = ('build/bin/t5gemma2-trace examples/pocket --image examples/inputs/shapes.png '
         '-p "<start_of_image>describe" --decoder-prompt "left" -o {}')
NONE = "–"
HOOKS = "4.3.0"  # the version of TransformerLens whose hooks these are


class Row(NamedTuple):
    """One tensor: the tap without its prefix, what is stored of its module, and labels of our functions."""
    paper: str
    tap: str
    stored: str
    ours: str
    hook: str


LAYER = [  # {side}.layers.{i}. and encoder_blocks.{i}. or decoder_blocks.{i}.
    Row("X", "pre_self_attn_layernorm", "weight", "`rms_norm`", "ln1.hook_out"),
    Row("X Wq", "self_attn.q_proj", "weight", "`queries`", "attn.hook_q"),
    Row("Q before RoPE", "self_attn.q_norm", "weight", "`queries`", "attn.q_norm.hook_out"),
    Row("X Wk", "self_attn.k_proj", "weight", "`keys_values`", "attn.hook_k"),
    Row("K of X before RoPE", "self_attn.k_norm", "weight", "`keys_values`", "attn.k_norm.hook_out"),
    Row("V of X", "self_attn.v_proj", "weight", "`keys_values`", "attn.hook_v"),
    Row("H Wk", "self_attn.k_proj[1]", "", "`encoder_keys_values`", "attn.hook_k"),
    Row("K of H", "self_attn.k_norm[1]", "", "`encoder_keys_values`", "attn.k_norm.hook_out"),
    Row("V of H", "self_attn.v_proj[1]", "", "`encoder_keys_values`", "attn.hook_v"),
    Row("softmax over X", "self_attn.weights", "", "`tap_probabilities`", "attn.hook_pattern"),
    Row("softmax over H", "self_attn.cross_weights", "", "`tap_probabilities`", "attn.hook_cross_pattern"),
    Row("A", "", "", "`attention`", "attn.hook_z"),
    Row("O", "self_attn.o_proj", "weight", "`linear`", "attn.o.hook_out"),
    Row("O", "self_attn", "", "`self_attention`, `merged_attention`", "attn.hook_out"),
    Row("", "post_self_attn_layernorm", "weight", "`rms_norm`", "ln1_post.hook_out"),
    Row("", "", "", "`transformer_layer`", "hook_resid_mid"),
    Row("", "pre_feedforward_layernorm", "weight", "`rms_norm`", "ln2.hook_out"),
    Row("", "mlp.gate_proj", "weight", "`feed_forward`", "mlp.hook_pre"),
    Row("", "mlp.act_fn", "", "`gelu_tanh`", ""),
    Row("", "mlp.up_proj", "weight", "`feed_forward`", "mlp.hook_pre_linear"),
    Row("", "", "", "`feed_forward`", "mlp.hook_post"),
    Row("", "mlp.down_proj", "weight", "`linear`", "mlp.out.hook_out"),
    Row("", "mlp", "", "`feed_forward`", "mlp.hook_out"),
    Row("", "post_feedforward_layernorm", "weight", "`rms_norm`", "ln2_post.hook_out"),
    Row("", "layers.{i}", "", "`transformer_layer`", "hook_resid_post"),
]
ENCODER, DECODER = "model.encoder.text_model.", "model.decoder."
AROUND = [
    Row("encoder ids", "inputs.input_ids", "", "`encode`", "encoder_embed.hook_in"),
    Row("E[id] sqrt(d)", ENCODER + "embed_tokens", "weight, eoi_embedding", "`embed`", "encoder_embed.hook_out"),
    Row("H", ENCODER + "norm", "weight", "`encoder`", "encoder_ln_final.hook_out"),
    Row("decoder ids", "inputs.decoder_input_ids", "", "`forward`", "decoder_embed.hook_in"),
    Row("E[id] sqrt(d)", DECODER + "embed_tokens", "", "`embed`", "decoder_embed.hook_out"),
    Row("h", DECODER + "norm", "weight", "`decoder`", "decoder_ln_final.hook_out"),
    Row("h E^T", "lm_head", "", "`logits_of`", "unembed.hook_out"),
    Row("logits", "logits", "", "`logits_of`", ""),
]
TOWER, PROJECTOR = "model.encoder.vision_tower.", "model.encoder.multi_modal_projector"
VISION = [
    Row("", "inputs.pixel_values", "", "`pixel_values`", ""),
    Row("", TOWER + "embeddings.patch_embedding", "weight, bias", "`patches_of`", ""),
    Row("", TOWER + "embeddings", "position_embedding.weight", "`siglip`", ""),
    Row("", "layer_norm1", "weight, bias", "`layer_norm`", ""),
    Row("", "self_attn.q_proj", "weight, bias", "`siglip_attention`", ""),
    Row("", "self_attn.k_proj", "weight, bias", "`siglip_attention`", ""),
    Row("", "self_attn.v_proj", "weight, bias", "`siglip_attention`", ""),
    Row("", "self_attn.out_proj", "weight, bias", "`siglip_attention`", ""),
    Row("", "self_attn", "", "`siglip_attention`", ""),
    Row("", "layer_norm2", "weight, bias", "`layer_norm`", ""),
    Row("", "mlp.fc1", "weight, bias", "`siglip_mlp`", ""),
    Row("", "mlp.activation_fn", "", "`gelu_tanh`", ""),
    Row("", "mlp.fc2", "weight, bias", "`siglip_mlp`", ""),
    Row("", "mlp", "", "`siglip_mlp`", ""),
    Row("", "layers.{i}", "", "`siglip`", ""),
    Row("", TOWER + "post_layernorm", "weight, bias", "`siglip`", ""),
    Row("", PROJECTOR + ".avg_pool", "", "`average_pool`", ""),
    Row("", PROJECTOR + ".mm_soft_emb_norm", "weight", "`image_features`", ""),
    Row("", PROJECTOR, "mm_input_projection_weight", "`image_features`", ""),
]
SIZES = [  # symbol, field of the decoder in config.json, TransformerLens' cfg
    ("d", "hidden_size", "d_model"), ("dh", "head_dim", "d_head"), ("w", "sliding_window", ""),
    ("s, in sqrt(s)", "query_pre_attn_scalar", ""), ("query heads", "num_attention_heads", "n_heads"),
    ("kv heads", "num_key_value_heads", "n_key_value_heads"), ("MLP width", "intermediate_size", "d_mlp"),
    ("layers", "num_hidden_layers", "n_layers"), ("vocab", "vocab_size", "d_vocab"), ("eps", "rms_norm_eps", "eps"),
]


def names_in(file: Path) -> set[str]:
    with safe_open(file, "np") as tensors:
        return set(tensors.keys())


def traced() -> set[str]:
    """Names of all tensors of one pass of the pocket model with an image."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.safetensors"
        run(TRACE.format(file))
        return names_in(file)


def stored_as(tap: str) -> str:
    """The module of a tap as the file of the pocket model spells it."""
    return tap.replace("encoder.text_model.", "encoder.")


def expanded(rows: list[Row]) -> list[Row]:
    """The rows with full paths; one that stands for a layer of a side once for each layer."""
    inside = json.loads((POCKET / "config.json").read_text())
    layers = {ENCODER: inside["encoder"]["text_config"], DECODER: inside["decoder"],
              TOWER + "encoder.": inside["encoder"]["vision_config"]}
    sides = [DECODER, ENCODER] if rows is LAYER else [TOWER + "encoder."]
    full = []
    for row in rows:
        if row.tap.startswith(("model.", "inputs.", "lm_head", "logits")):
            full.append(row)
        elif row.tap:
            full += [row._replace(tap=f"{side}layers.{i}" + ("" if row.tap == "layers.{i}" else f".{row.tap}"))
                     for side in sides for i in range(layers[side]["num_hidden_layers"])
                     if side == DECODER or not row.tap.endswith(("[1]", "cross_weights"))]
    return full


def check_all() -> tuple[int, int]:
    """Numbers of traced and of stored tensors; raises unless the tables name exactly these."""
    rows = [row for rows in (AROUND, LAYER, VISION) for row in expanded(rows)]
    taps = {row.tap for row in rows}
    stored = {f"{stored_as(row.tap)}.{part}" for row in rows for part in row.stored.split(", ") if part}
    in_file = names_in(POCKET / "model.safetensors")
    for what, named, there in (("trace", taps, traced()), ("file", stored, in_file)):
        if named != there:
            raise ValueError(f"docs/making/names.py: the tables and the {what} differ: {sorted(named ^ there)[:5]}")
    return len(taps), len(stored)


def code(text: str) -> str:
    return ", ".join(f"`{part}`" for part in text.split(", ")) if text else NONE


def columns_of(rows: list[Row], *columns: str) -> str:
    """The columns of the rows as Markdown; the first row is the header."""
    def cell(row: Row, column: str) -> str:
        if row.tap == "layers.{i}" and column == "tap":
            return "the layer itself"
        value = getattr(row, column)
        if column == "ours":
            return ", ".join(f"[{label}]" for label in value.split(", "))
        return code(value) if column != "paper" else value or NONE
    heads = {"paper": "paper", "tap": "transformers, tap", "stored": "stored", "ours": "ours",
             "hook": "TransformerLens"}
    return table([heads[column] for column in columns], ([cell(row, column) for column in columns] for row in rows))


def layer() -> str:
    return columns_of(LAYER, "paper", "tap", "stored", "ours", "hook")


def around() -> str:
    return columns_of(AROUND, "paper", "tap", "stored", "ours", "hook")


def vision() -> str:
    return columns_of(VISION, "tap", "stored", "ours")


def found() -> str:
    taps, stored = check_all()
    return (f"Looked up in `pocket`: {taps} traced and {stored} stored tensors, each named here, and no other.\n"
            f"The hooks are those of TransformerLens {HOOKS}.")


def sizes() -> str:
    """Symbol, field and value: of pocket and of 270M-270M."""
    pocket = json.loads((POCKET / "config.json").read_text())["decoder"]
    published = config_of("270M-270M")["decoder"]
    return table(["symbol", "`config.json`", "TransformerLens", "pocket", "270M"],
                 ([symbol, f"`{field}`", code(cfg), pocket[field], published[field]] for symbol, field, cfg in SIZES))
