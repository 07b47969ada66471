"""`weights_tool record`: what transformers computes on a checkpoint, tensor by tensor.

The file holds, float32 and under their module paths in transformers, the outputs of the modules in one forward pass
without cache (eager attention, batch of one, everything visible). Three things are ours: `[1]` at a module's second
call in the pass (the decoder's k_proj, v_proj, k_norm on the encoder output), `.weights` / `.cross_weights` for the
softmax weights, and `[-N:]` where only the last N rows of the second-last axis are stored. `truth.NAME` is the same
tensor as float64 arithmetic gives it, rounded to float32.
"""
import re
from collections.abc import Sequence
from contextlib import contextmanager

import numpy as np
import torch
from transformers import GenerationConfig

from .console import bar, say
from .errors import UserError
from .inputs import Inputs, check
from .model import load_model
from .names import canonical, is_vision
from .storage import Checkpoint, write_tensors

# Containers that only repeat another tensor, dropout, position tables, the vision head.
SKIPPED = re.compile(r"(|model|model\.encoder|model\.decoder|model\.encoder\.text_model|model\.encoder\.vision_tower"
                     r"|model\.encoder\.vision_tower\.encoder|model\.encoder\.vision_tower\.head.*|lm_head\.out_proj"
                     r"|.*\.dropout|.*\.rotary_emb|.*\.position_embedding)")
LIGHT = re.compile(r"(.*\.layers\.\d+|model\.(decoder|encoder\.text_model)\.(norm|embed_tokens)|.*\.post_layernorm"
                   r"|model\.encoder\.multi_modal_projector|lm_head)")


LAYER = re.compile(r".*\.layers\.\d+")


@contextmanager
def counted(modules: Sequence[torch.nn.Module], what: str, unit: str, total: int):
    """A bar that counts how often the modules have been called."""
    with bar(total, what, unit) as progress:
        def count(*_):
            progress.update()
        handles = [module.register_forward_hook(count) for module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def in_float64(model):
    """The model computes in float64, also where its code asks for float32. RoPE's inverse frequencies and the scale of
    the embeddings keep their float32 values."""
    softmax, to_float = torch.nn.functional.softmax, torch.Tensor.float
    torch.nn.functional.softmax = lambda x, dim=None, dtype=None, **more: softmax(x, dim=dim, dtype=torch.float64)
    torch.Tensor.float = torch.Tensor.double
    model.double()
    try:
        yield
    finally:
        torch.nn.functional.softmax, torch.Tensor.float = softmax, to_float
        model.to(torch.float32)


class Recorder:
    """Forward hooks that collect module outputs while in a `with` block."""

    def __init__(self, model, light: bool, encoder: bool, last_rows: int | None):
        self.taps = {}
        self.encoder, self.last_rows = encoder, last_rows
        chosen = LIGHT if light else re.compile(".*")
        self.attention = not light
        self.modules = [(name, module) for name, module in model.named_modules()
                        if chosen.fullmatch(name) and not SKIPPED.fullmatch(name)
                        and (encoder or not name.startswith("model.encoder"))]

    def __enter__(self):
        self.handles = [module.register_forward_hook(self.hook(name)) for name, module in self.modules]
        self.calls = dict.fromkeys((name for name, _ in self.modules), 0)
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def hook(self, name: str):
        def keep_output(_module, _args, output):
            call = self.calls[name]
            self.calls[name] += 1
            first, *rest = output if isinstance(output, tuple) else (output,)
            if call == 0 or self.encoder:
                self.keep(name + (f"[{call}]" if call else ""), first)
            if self.attention and "vision_tower" not in name:
                self.keep_weights(name, rest)
        return keep_output

    def keep_weights(self, name: str, weights: list) -> None:
        """The softmax weights beside an attention's output: [1, heads, queries, keys], own side then encoder side."""
        for suffix, value in zip(("weights", "cross_weights"), weights):
            if value is None:
                raise UserError(f"{name}: attention weights are not returned: attention is not eager")
            if suffix == "weights" or self.encoder:
                self.keep(f"{name}.{suffix}", value)

    def keep(self, name: str, value: torch.Tensor) -> None:
        if self.last_rows and value.dim() > 1 and value.shape[-2] > self.last_rows:
            name, value = f"{name}[-{self.last_rows}:]", value[..., -self.last_rows:, :]
        self.taps[name] = value.detach().to(torch.float32).clone().numpy()


def encoder_arguments(inputs: Inputs, bos: int) -> dict:
    """What the encoder is fed. The mask is always given and is all ones: no id is hidden, pad (0) neither.

    (5.23 builds no mask from pad ids in an encoder-decoder, neither in `forward` nor in `generate`.) n = 0: transformers cannot run it, but an encoder input whose attention_mask is all 0 is the same model."""
    ids = inputs.input_ids if inputs.input_ids.size else np.array([[bos]], np.int64)
    mask = torch.full(ids.shape, int(inputs.input_ids.size > 0))
    arguments = {"input_ids": torch.from_numpy(ids), "attention_mask": mask}
    if inputs.pixel_values is not None:
        arguments["pixel_values"] = torch.from_numpy(inputs.pixel_values)
    return arguments


@torch.no_grad()
def forward(model, inputs: Inputs, decoder_ids: np.ndarray, what: str = "forward pass") -> torch.Tensor:
    """Logits [1, m, vocab] of one pass without cache; `what` is told while it runs."""
    arguments = encoder_arguments(inputs, model.config.decoder.bos_token_id)
    layers = [module for name, module in model.named_modules()
              if LAYER.fullmatch(name) and ("pixel_values" in arguments or not is_vision(f"{name}."))]
    with counted(layers, what, "layer", len(layers)):
        return model(**arguments, decoder_input_ids=torch.from_numpy(decoder_ids), use_cache=False).logits


@torch.no_grad()
def generate(model, inputs: Inputs, prefix: np.ndarray) -> np.ndarray:
    """Greedy tokens [1, k + N] with the cache, the prefix first; end-of-sequence tokens do not stop it."""
    decoder = model.config.decoder
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=inputs.generate, eos_token_id=None, pad_token_id=decoder.pad_token_id,
        bos_token_id=decoder.bos_token_id, decoder_start_token_id=decoder.bos_token_id, use_cache=True)
    arguments = encoder_arguments(inputs, decoder.bos_token_id)
    with counted([model.lm_head], "generating", "token", inputs.generate):
        tokens = model.generate(**arguments, decoder_input_ids=torch.from_numpy(prefix)).numpy()
    if tokens.shape[1] != prefix.shape[1] + inputs.generate or (tokens[:, :prefix.shape[1]] != prefix).any():
        raise UserError(f"generate: expected the prefix and {inputs.generate} tokens, found {tokens.tolist()}")
    return tokens


def check_generated(model, inputs: Inputs, tokens: np.ndarray, prefix_length: int) -> None:
    """Say how close the closest greedy choice was, and fail when a pass without cache chooses otherwise."""
    logits = forward(model, inputs, tokens[:, :-1], "checking")[0, prefix_length - 1:]
    best = logits.topk(2).values
    chosen = torch.from_numpy(tokens[0, prefix_length:])
    behind = (best[:, 0] - logits.gather(1, chosen[:, None])[:, 0]).max().item()
    if behind > 1e-4 * best.abs().max().item():
        raise UserError(f"generate: the cached tokens are {behind:g} behind the best ones of an uncached pass")
    margin = (best[:, 0] - best[:, 1]).min().item()
    say(f"{chosen.unique().numel()} different tokens in {len(chosen)}, smallest greedy margin {margin:.3g}")


def record(folder, config: dict, inputs: Inputs, *, light=False, last_rows=None, truth=False) -> dict[str, np.ndarray]:
    """{name: array} of the reference file of a checkpoint folder and its `load_config`."""
    check(inputs, config)
    model = load_model(folder, config)
    if inputs.pixel_values is not None and not has_vision(folder):
        raise UserError(f"{folder}: pictures were given, but the checkpoint has no vision tensors")
    result = taps(model, inputs, light, last_rows)
    if truth:
        with in_float64(model):
            result |= {f"truth.{name}": tensor for name, tensor in taps(model, inputs, light, last_rows).items()}
    for name in ("input_ids", "decoder_input_ids", "pixel_values", "generate_from"):
        if getattr(inputs, name) is not None:
            result[f"inputs.{name}"] = getattr(inputs, name)
    if inputs.generate:
        prefix = inputs.generate_from
        if prefix is None:
            prefix = np.array([[model.config.decoder.bos_token_id]], np.int64)
        result["generated"] = generate(model, inputs, prefix)
        check_generated(model, inputs, result["generated"], prefix.shape[1])
    return result


def taps(model, inputs: Inputs, light: bool, last_rows: int | None) -> dict[str, np.ndarray]:
    """{name: array} of one pass without cache."""
    with Recorder(model, light, inputs.input_ids.size > 0, last_rows) as recorder:
        recorder.keep("logits", forward(model, inputs, inputs.decoder_input_ids))
    return recorder.taps


def has_vision(folder) -> bool:
    """Whether the checkpoint stores a vision tower."""
    return any(is_vision(canonical(name) or "") for name in Checkpoint(folder))


def write_reference(folder, config: dict, output, inputs: Inputs, *, light=False, last_rows=None, truth=False) -> None:
    """Record a checkpoint folder into a reference file."""
    tensors = record(folder, config, inputs, light=light, last_rows=last_rows, truth=truth)
    write_tensors(output, tensors)
    say(f"{output}: {len(tensors)} tensors")
