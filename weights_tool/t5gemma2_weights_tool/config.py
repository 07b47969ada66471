"""config.json: reading, checking, and bringing its older spellings into today's.

After `normalise` both text stacks have `layer_types` and `rope_parameters`, the vision stack has no pooling head,
and nothing is left to the library's class defaults, which describe no published model.
Source: transformers 5.23.0, models/t5gemma2/configuration_t5gemma2.py.
"""
import copy
import json
from pathlib import Path

from .console import say
from .errors import UserError, expected

PRESETS = Path(__file__).parent / "presets"

TEXT_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
              "num_key_value_heads", "head_dim", "sliding_window")
TEXT_NUMBERS = TEXT_SIZES + ("rms_norm_eps", "query_pre_attn_scalar")
VISION_NUMBERS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size",
                  "patch_size", "num_channels", "layer_norm_eps")
LAYER_TYPES = ("sliding_attention", "full_attention")


def read_json(path) -> dict:
    """A JSON object from a file."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise expected(path, "content", "JSON", error) from None
    if not isinstance(value, dict):
        raise expected(path, "content", "a JSON object", type(value).__name__)
    return value


def write_json(path, value: dict) -> None:
    """A JSON object into a file, keys sorted as transformers sorts them."""
    Path(path).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_preset(name: str) -> dict:
    """The sizes of one of Google's T5Gemma 2 checkpoints, e.g. "270m-270m"; "tiny" is our own, for tests."""
    return read_json(PRESETS / f"{name}.json")


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.json"))


def normalise(config: dict, file) -> dict:
    """A checked copy of a T5Gemma 2 config with every older spelling replaced."""
    config = copy.deepcopy(config)
    encoder = section(config, "encoder", file)
    decoder = section(config, "decoder", file)
    text = section(encoder, "text_config", file, "encoder.")
    vision = section(encoder, "vision_config", file, "encoder.")
    normalise_text(text, file, "encoder.text_config")
    normalise_text(decoder, file, "decoder")
    for field in ("hidden_size", "vocab_size"):
        if text[field] != decoder[field]:
            raise expected(file, f"decoder.{field}", f"{text[field]} as in encoder.text_config", decoder[field])
    check_numbers(decoder, ("bos_token_id",), file, "decoder")
    check_numbers(vision, VISION_NUMBERS, file, "encoder.vision_config")
    check_numbers(encoder, ("mm_tokens_per_image", "boi_token_index", "eoi_token_index"), file, "encoder")
    vision["vision_use_head"] = False  # the pooling head is never used
    return config


def section(config: dict, name: str, file, where: str = "") -> dict:
    value = config.get(name)
    if not isinstance(value, dict):
        raise expected(file, where + name, "an object", "nothing" if value is None else value)
    return value


def check_numbers(config: dict, fields, file, where: str) -> None:
    for field in fields:
        value = config.get(field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise expected(file, f"{where}.{field}", "a positive number", "nothing" if value is None else value)


def normalise_text(text: dict, file, where: str) -> None:
    """One text stack in place: numbers checked, `layer_types` and `rope_parameters` written out."""
    check_numbers(text, TEXT_NUMBERS, file, where)
    for field in TEXT_SIZES:
        if not isinstance(text[field], int):
            raise expected(file, f"{where}.{field}", "a whole number", text[field])
    if text["num_attention_heads"] % text["num_key_value_heads"]:
        raise expected(file, f"{where}.num_attention_heads", f"a multiple of {text['num_key_value_heads']}",
                       text["num_attention_heads"])
    if text.get("attention_bias"):
        raise expected(file, f"{where}.attention_bias", "false", "true")
    text["layer_types"] = read_layer_types(text, file, where)
    text["rope_parameters"] = read_rope(text, file, where)
    for old in ("sliding_window_pattern", "rope_theta", "rope_local_base_freq", "rope_scaling"):
        text.pop(old, None)


def read_layer_types(text: dict, file, where: str) -> list[str]:
    """`layer_types`, or every `sliding_window_pattern`-th layer full and the others sliding."""
    depth, types, pattern = text["num_hidden_layers"], text.get("layer_types"), text.get("sliding_window_pattern")
    if types is None and isinstance(pattern, int) and pattern > 0:
        return ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(depth)]
    if types is None:
        raise expected(file, f"{where}.layer_types", "a list, or sliding_window_pattern", "neither")
    if not isinstance(types, list) or len(types) != depth or any(t not in LAYER_TYPES for t in types):
        raise expected(file, f"{where}.layer_types", f"{depth} of {' or '.join(LAYER_TYPES)}", types)
    return types


def read_rope(text: dict, file, where: str) -> dict:
    """{layer type: {rope_type, rope_theta[, factor]}} from today's or the older keys."""
    stored = optional_object(text, "rope_parameters", file, where)
    older_theta = {"full_attention": "rope_theta", "sliding_attention": "rope_local_base_freq"}
    result = {}
    for layer_type in LAYER_TYPES:
        entry = dict(optional_object(stored, layer_type, file, f"{where}.rope_parameters"))
        if layer_type == "full_attention":
            entry.update(optional_object(text, "rope_scaling", file, where))
        entry.setdefault("rope_theta", text.get(older_theta[layer_type]))
        result[layer_type] = check_rope(entry, file, f"{where}.rope_parameters.{layer_type}")
    return result


def optional_object(config: dict, name: str, file, where: str) -> dict:
    value = config.get(name)
    if value is not None and not isinstance(value, dict):
        raise expected(file, f"{where}.{name}", "an object", value)
    return value or {}


def check_rope(entry: dict, file, where: str) -> dict:
    """One RoPE entry. transformers 5.23 reads {"type": "linear"} without rope_type as default, silently; here the
    checkpoint's word counts, and it is said aloud."""
    kind = entry.get("rope_type")
    if kind is None and "type" in entry:
        kind = entry["type"]
        say(f"note: {file}: {where}: 'type': '{kind}' read as rope_type")
    kind = kind or "default"
    if kind not in ("default", "linear"):
        raise expected(file, f"{where}.rope_type", "default or linear", kind)
    check_numbers(entry, ("rope_theta",) + (("factor",) if kind == "linear" else ()), file, where)
    result = {"rope_type": kind, "rope_theta": float(entry["rope_theta"])}
    if kind == "linear":
        result["factor"] = float(entry["factor"])
    return result


def with_old_keys(config: dict) -> dict:
    """The same model in the older spelling: rope_theta, rope_local_base_freq, rope_scaling with `type`, and
    sliding_window_pattern where the layer types follow one."""
    config = copy.deepcopy(config)
    for text in (config["encoder"]["text_config"], config["decoder"]):
        rope = text.pop("rope_parameters")
        full = rope["full_attention"]
        text["rope_theta"] = full["rope_theta"]
        text["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        if full["rope_type"] == "linear":
            text["rope_scaling"] = {"type": "linear", "factor": full["factor"]}
        pattern = find_pattern(text["layer_types"])
        if pattern:
            del text["layer_types"]
            text["sliding_window_pattern"] = pattern
    return config


def find_pattern(layer_types: list[str]) -> int | None:
    """The p for which exactly every p-th layer is full, if there is one."""
    if "full_attention" not in layer_types:
        return len(layer_types) + 1
    pattern = layer_types.index("full_attention") + 1
    same = all((kind == "full_attention") == ((i + 1) % pattern == 0) for i, kind in enumerate(layer_types))
    return pattern if same else None
