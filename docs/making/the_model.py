"""The model in a picture and tables, from the presets."""

import ast
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sizes import PUBLISHED, config_of
from svg import LINE, Picture
from t5gemma2_weights_tool.markdown import table

LEFT, MIDDLE, RIGHT = 114, 232, 350  # where arrows go down


def text_of(name: str) -> dict[str, Any]:
    """The sizes of encoder and decoder, which are the same, of a published model."""
    config = config_of(name)
    encoder, decoder = config["encoder"]["text_config"], config["decoder"]
    assert {**encoder, "model_type": ""} == {**decoder, "model_type": ""}
    text: dict[str, Any] = decoder
    return text


# ---- the model ----


def layers(picture: Picture, y: float, side: str, types: list[str]) -> None:
    """The layers of a side as cells in a row, the global ones filled."""
    cell = 22
    picture.text(MIDDLE, y + 32, ratio(types), "ink small", "middle")
    left = MIDDLE - cell * len(types) / 2
    for i, kind in enumerate(types):
        filled = f"{side}-cell" if kind == "full_attention" else "frame"
        picture.rectangle(left + cell * i + 2, y, cell - 4, 14, filled, corner=2)


def flow(picture: Picture, x: float, y: float, end: float, label: str) -> None:
    """An arrow down, with the shape of what it carries."""
    picture.line((x, y), (x, end))
    picture.text(x + 10, (y + end) / 2 + 4.5, label)


def encoder_half(picture: Picture, config: dict[str, Any]) -> None:
    """From an image and ids to H."""
    text, vision = config["encoder"]["text_config"], config["encoder"]["vision_config"]
    d, side = text["hidden_size"], vision["image_size"]
    picture.text(LEFT, 16, "image", "note strong", "middle")
    picture.text(RIGHT, 16, "prompt: n token ids", "note strong", "middle")
    flow(picture, LEFT, 24, 52, f"[{vision['num_channels']}, {side}, {side}]")
    flow(picture, RIGHT, 24, 52, "[n]")
    picture.box(8, 52, 212, 44, ["SigLIP, average pooling,", "norm, projection to d"], "encoder")
    picture.box(244, 52, 212, 44, ["embedding: E[id] × √d", f"E [{text['vocab_size']}, {d}]"], "table")
    flow(picture, LEFT, 96, 128, f"[{config['encoder']['mm_tokens_per_image']}, {d}]")
    flow(picture, RIGHT, 96, 128, f"[n, {d}]")
    picture.box(8, 128, 448, 28, ["image features take the places of the image tokens"])
    flow(picture, MIDDLE, 156, 186, f"[n, {d}]")
    picture.box(8, 186, 448, 70, [], "encoder")
    head = f"Encoder: {text['num_hidden_layers']} layers, bidirectional self-attention"
    picture.text(MIDDLE, 206, head, "ink strong", "middle")
    layers(picture, 216, "encoder", text["layer_types"])


def ratio(types: list[str]) -> str:
    """How many local layers follow each other before a global one."""
    local = types.index("full_attention")
    assert all((kind == "full_attention") == (i % (local + 1) == local) for i, kind in enumerate(types))
    return f"{local} local layers, then 1 global (filled)"


def decoder_half(picture: Picture, text: dict[str, Any]) -> None:
    """From H and ids to logits and the next id."""
    d, dh = text["hidden_size"], text["head_dim"]
    q, kv = text["num_attention_heads"] * dh, text["num_key_value_heads"] * dh
    flow(picture, LEFT, 256, 388, f"H [n, {d}]")
    picture.text(RIGHT, 286, "m token ids so far", "note strong", "middle")
    flow(picture, RIGHT, 293, 320, "[m]")
    picture.box(244, 320, 212, 36, ["embedding: same E × √d"], "table")
    flow(picture, RIGHT, 356, 388, f"X [m, {d}]")
    picture.box(8, 388, 448, 122, [], "decoder")
    head = f"Decoder: {text['num_hidden_layers']} layers, merged attention over [X; H]"
    picture.text(MIDDLE, 408, head, "ink strong", "middle")
    layers(picture, 418, "decoder", text["layer_types"])
    picture.text(MIDDLE, 475, f"Q of X [m, {q}],  K and V of [X; H] [m + n, {kv}]", "ink", "middle")
    picture.text(MIDDLE, 496, "one softmax over all m + n keys; all of H in every layer", "ink", "middle")
    flow(picture, MIDDLE, 510, 540, f"[m, {d}]")
    picture.box(88, 540, 288, 28, ["× Eᵀ: the same matrix E again"], "table")
    flow(picture, MIDDLE, 568, 598, f"logits [m, {text['vocab_size']}]")
    picture.box(88, 598, 288, 28, ["choose the next id from the last row"])
    picture.line((376, 612), (470, 612), (470, 282), (424, 282))


def the_model() -> str:
    """The whole model, with the sizes of 270M-270M."""
    config = config_of("270M-270M")
    text = config["decoder"]
    picture = Picture("T5Gemma 2 270M-270M: what each arrow carries", 748)
    encoder_half(picture, config)
    decoder_half(picture, text)
    for i, (symbol, words) in enumerate(letters(text)):
        picture.text(14, 656 + (LINE + 2) * i, symbol, "note strong")
        picture.text(98, 656 + (LINE + 2) * i, words)
    return picture.svg()


def letters(text: dict[str, Any]) -> list[tuple[str, str]]:
    """The letters in the picture and what they stand for."""
    q, kv = text["num_attention_heads"], text["num_key_value_heads"]
    return [
        ("n, m", "encoder tokens (images too); decoder tokens"),
        (f"d = {text['hidden_size']}", "numbers per token"),
        (f"dh = {text['head_dim']}", f"numbers per head: {q} query, {kv} key/value head"),
        (f"w = {text['sliding_window']}", "window of the local layers, in tokens"),
        ("[m, ...]", "the shape of a matrix: rows, columns"),
    ]


# ---- tables ----


def sizes() -> str:
    """The letters of the pictures, and what else differs between the published sizes."""
    keys = {"hidden_size": "d", "head_dim": "dh", "sliding_window": "w", "num_attention_heads": "query heads",
            "num_key_value_heads": "key/value heads", "num_hidden_layers": "layers of each side"}
    texts = [text_of(name) for name in PUBLISHED]
    rows: list[list[Any]] = [[words, *(text[key] for text in texts)] for key, words in keys.items()]
    rows.append(["of these global", *(text["layer_types"].count("full_attention") for text in texts)])
    rows.append(["feed-forward width", *(text["intermediate_size"] for text in texts)])
    rows.append(["vocabulary", *(text["vocab_size"] for text in texts)])
    return table(["", *(name.partition("-")[0] for name in PUBLISHED)], rows)


def attention_arguments() -> list[str]:
    """The names of all arguments that the reference's two attentions pass to the function of equation (4)."""
    transformers = find_spec("transformers")
    assert transformers and transformers.origin
    source = Path(transformers.origin).parent / "models/t5gemma2/modeling_t5gemma2.py"
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id == "attention_interface"]
    assert len(calls) == 2
    return sorted({keyword.arg for call in calls for keyword in call.keywords if keyword.arg})


def softcaps() -> str:
    """The two softcaps: what the published files say, and what becomes of them."""
    assert "softcap" not in attention_arguments()
    rows: list[list[Any]] = []
    for key, use in (("attn_logit_softcapping", "nowhere"), ("final_logit_softcapping", "on the logits, where set")):
        values = {json.dumps(text_of(name)[key]) for name in PUBLISHED}
        rows.append([f"`{key}`", ", ".join(f"`{value}`" for value in sorted(values)), use])
    return table(["Field", "Published", "Applied"], rows)


FIGURES = {"the_model.svg": the_model}
