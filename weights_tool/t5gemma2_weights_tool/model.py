"""A checkpoint folder as transformers' T5Gemma2ForConditionalGeneration, float32, eager attention.

transformers builds and computes the model; the weights are put in here, not by `from_pretrained`, because 5.23
- cannot read every spelling, and only warns when it has to invent a weight;
- with tie_word_embeddings true keeps a stored head or decoder embedding that differs from the encoder's (it compares
  them, and ties when they are equal);
- with tie_word_embeddings false ties nothing, and fills what is not stored with random numbers.
(which of the three is decided by the top level's tie_word_embeddings alone; checked by loading every combination).
Here, too, what is stored is used as stored, and what is not is another's of its names only where they are tied; but
any other missing or unknown tensor is an error.
"""
from pathlib import Path

import torch
from transformers import T5Gemma2Config, T5Gemma2ForConditionalGeneration
from transformers.initialization import no_init_weights

from . import names
from .config import normalise, read_json
from .console import bar, say
from .errors import UserError, expected
from .storage import Checkpoint


def load_config(folder) -> dict:
    """The folder's config.json, normalised, with the overrides the library applies: the top level's
    image_token_index wins over the encoder's, the encoder's eoi_token_index over the top level's."""
    file = Path(folder) / "config.json"
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: expected a checkpoint folder, found {'a file' if Path(folder).exists() else 'nothing'}; "
                        "the hub's are downloaded by: hf download NAME --local-dir FOLDER")
    config = normalise(read_json(file), file)
    config.setdefault("image_token_index", config["encoder"].get("image_token_index"))
    return config


def read_weights(folder, expected_shapes: dict[str, tuple]) -> dict[str, torch.Tensor]:
    """{canonical name: float32 tensor} of what is stored, every name and shape checked."""
    checkpoint = Checkpoint(folder)
    weights = {}
    with bar(len(checkpoint), "loading", "tensor") as loading:
        for stored in checkpoint:
            loading.update()
            name = "lm_head.out_proj.weight" if stored == "lm_head.weight" else names.canonical(stored)
            if name is None:
                continue
            if name not in expected_shapes:
                raise expected(folder, "tensors", "only T5Gemma 2 names", stored)
            if name in weights:
                raise expected(folder, name, "one spelling", f"{stored} besides another")
            if checkpoint.shape(stored) != expected_shapes[name]:
                raise expected(folder, stored, f"shape {list(expected_shapes[name])}", list(checkpoint.shape(stored)))
            weights[name] = torch.from_numpy(checkpoint.read(stored).copy())
    return weights


def load_weights(folder, expected_shapes: dict[str, tuple], tied: bool = True) -> dict[str, torch.Tensor]:
    """{canonical name: float32 tensor}, the tied ones filled in where they are `tied`, none missing.

    Vision may be absent as a whole (a text-only checkpoint)."""
    weights = read_weights(folder, expected_shapes)
    if tied:
        names.tie(weights)
    missing = sorted(set(expected_shapes) - set(weights))
    if not any(map(names.is_vision, weights)):
        missing = [name for name in missing if not names.is_vision(name)]
    if missing:
        raise expected(folder, missing[0], "it in the checkpoint", f"nothing ({len(missing)} tensors missing)")
    return weights


def load_model(folder, config: dict) -> T5Gemma2ForConditionalGeneration:
    """The model of a checkpoint folder and its `load_config`. Its vision half is meaningless when the folder stores
    none."""
    try:
        library_config = T5Gemma2Config(**{**config, "tie_word_embeddings": False})  # load_weights does the tying
    except Exception as error:  # the library's validation raises several unrelated types
        raise UserError(f"{folder}/config.json: transformers refuses it: {error}") from None
    with no_init_weights():
        model = T5Gemma2ForConditionalGeneration._from_config(library_config, attn_implementation="eager",
                                                              dtype=torch.float32)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = load_weights(folder, shapes, config.get("tie_word_embeddings", True))
    model.load_state_dict(weights, strict=False, assign=True)
    verify(model, weights, folder)
    return model.eval()


def verify(model, weights: dict[str, torch.Tensor], folder) -> None:
    """Fail loudly unless every parameter of the model is the very tensor that was read."""
    for name, value in model.state_dict(keep_vars=True).items():
        if name not in weights and names.is_vision(name):
            continue
        if name not in weights or value.data_ptr() != weights[name].data_ptr() or value.dtype != torch.float32:
            raise UserError(f"{folder}: {name}: not loaded as stored")
    say(f"{folder}: {len(weights)} tensors loaded, none missing")
