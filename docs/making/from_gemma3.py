"""That a T5Gemma 2 without encoder input is Gemma 3: the tables of from_gemma3.md."""
import sys
import tempfile
from pathlib import Path

import numpy as np
from repository import ROOT, run
from safetensors.numpy import load_file
from t5gemma2_weights_tool.markdown import table

sys.path.append(str(ROOT / "weights_tool/tests"))  # small_gemma3

EOI = 61  # the end-of-image token of the small vocabulary
IDS = [2, 9, 33, 30, EOI, 17, 44, 8, 21, 5, 60, 12]  # more than two windows
NEW = 16
CLOSE = 1e-5


def names() -> str:
    """What weights_tool adapt calls each tensor of Gemma 3."""
    from t5gemma2_weights_tool import names
    from t5gemma2_weights_tool.adapt import t5gemma2_name
    from t5gemma2_weights_tool.gemma3 import GGUF_LAYER

    def hub(side: str, gemma3: str) -> str:
        return names.spell(t5gemma2_name(side, gemma3), "hub")

    rows = []
    for gemma3 in [*(f"layers.0.{name}.weight" for name in GGUF_LAYER.values()), "norm.weight"]:
        ours = hub(names.DECODER, gemma3).removeprefix("model.decoder.")
        assert hub(names.ENCODER, gemma3) == f"model.encoder.{ours}"
        short = [name.removeprefix("layers.0.").removesuffix(".weight") for name in (gemma3, ours)]
        rows.append([f"`{short[0]}`", "the same" if short[0] == short[1] else f"`{short[1]}`"])
    rows += [["`embed_tokens`", f"`{names.spell(names.EMBEDDING, 'hub').split('.')[1]}.embed_tokens`, once"],
             ["row `eoi` of `embed_tokens`, times sqrt(d)", f"`encoder.embed_tokens.{names.EOI.split('.')[-1]}`"]]
    return table(["Gemma 3", "T5Gemma 2"], rows)


def computed_by_gemma3(model) -> tuple[dict[str, np.ndarray], list[int]]:
    """{module: output} of one pass of transformers, and greedy tokens."""
    import torch

    outputs: dict[str, np.ndarray] = {}

    def keep(name: str):
        def hook(_module, _arguments, output) -> None:
            outputs[name] = (output[0] if isinstance(output, tuple) else output).detach().numpy().copy()
        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in [
        ("embed_tokens", model.model.embed_tokens), ("norm", model.model.norm),
        *((f"layers.{i}", layer) for i, layer in enumerate(model.model.layers))]]
    ids = torch.tensor([IDS])
    with torch.no_grad():
        outputs["logits"] = model(input_ids=ids, use_cache=False).logits.numpy()
        for handle in handles:
            handle.remove()
        made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW,
                              min_new_tokens=NEW, eos_token_id=[], pad_token_id=0)
    return outputs, made[0, len(IDS):].tolist()


def adapted(gemma3: Path, folder: Path, rope_factor: float | None = None) -> Path:
    """The T5Gemma 2 that weights_tool adapt makes of it."""
    from t5gemma2_weights_tool.adapt import adapt
    from t5gemma2_weights_tool.console import set_quiet

    set_quiet(True)
    adapt(gemma3, folder, dtype="float32", eoi_token_index=EOI, rope_factor=rope_factor)
    return folder


def computed_by_ours(folder: Path) -> tuple[dict[str, np.ndarray], list[int]]:
    """{module: output} of one pass of the engine without encoder input, and greedy tokens."""
    ids = ",".join(map(str, IDS))
    run(f"build/bin/t5gemma2-trace -q {folder} --decoder-input-ids {ids} -o {folder}/ours.safetensors")
    tensors = load_file(folder / "ours.safetensors")
    assert tensors["inputs.input_ids"].shape == (1, 0)
    made = run(f"build/bin/t5gemma2-generate -q -m {folder} --decoder-input-ids {ids} -n {NEW} --ignore-eos")
    return {name.removeprefix("model.decoder."): values for name, values in tensors.items()}, [
        int(token) for token in made.split(",")]


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference relative to the largest value."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def shape(values: np.ndarray) -> str:
    """Rows x columns."""
    return " x ".join(map(str, values.shape[1:]))


def row(name: str, what: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[str]:
    """A row of the table; raises where the tensors differ."""
    found = difference(ours[name], theirs[name])
    assert found < CLOSE, (name, found)
    return [what, shape(theirs[name]), "below 1e-5"]


def equal() -> str:
    """Gemma 3 in transformers against the engine on the adapted weights, n = 0."""
    from small_gemma3 import small_gemma3
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = small_gemma3()
    theirs, their_tokens = computed_by_gemma3(model)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(f"{scratch}/gemma3")
        ours, our_tokens = computed_by_ours(adapted(Path(scratch, "gemma3"), Path(scratch, "t5gemma2")))
        scaled, _ = computed_by_ours(adapted(Path(scratch, "gemma3"), Path(scratch, "scaled"), 8))
    assert our_tokens == their_tokens and len(set(our_tokens)) > 3, (our_tokens, their_tokens)
    assert (ours["logits"].argmax(-1) == theirs["logits"].argmax(-1)).all()
    far = difference(scaled["logits"], theirs["logits"])
    assert far > 100 * CLOSE, far
    kinds = ["global" if kind == "full_attention" else "local" for kind in model.config.layer_types]
    rows = [row("embed_tokens", "embedding", ours, theirs),
            *(row(f"layers.{i}", f"layer {i}, {kind}", ours, theirs) for i, kind in enumerate(kinds)),
            row("norm", "last norm", ours, theirs), row("logits", "logits", ours, theirs)]
    return table(["output", "shape", "relative difference"], [
        *rows, ["likeliest token of each row", len(IDS), "all equal"], ["greedy tokens", NEW, "all equal"],
        ["logits with `--rope-factor 8`", shape(theirs["logits"]), "above 1e-3"]])
