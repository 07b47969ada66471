"""The decoder without a source is a Gemma 3: pocket's as a checkpoint of that."""
from functools import cache
from pathlib import Path

import torch
from abilities import scratch
from definition import model, tokenizer
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

RENAMED = {"pre_self_attn_layernorm": "input_layernorm", "post_self_attn_layernorm": "post_attention_layernorm"}
OWN = ("model_type", "architectures", "dtype", "transformers_version")


@cache
def as_gemma3() -> Path:
    folder = scratch() / "gemma3"
    config = {name: value for name, value in model().config.decoder.to_dict().items() if name not in OWN}
    gemma3 = Gemma3ForCausalLM(Gemma3TextConfig(**config))
    tensors = {}
    for name, value in model().model.decoder.state_dict().items():
        for theirs, name3 in RENAMED.items():
            name = name.replace(theirs, name3)
        tensors[f"model.{name}"] = value
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    del tensors["model.embed_tokens.eoi_embedding"]
    gemma3.load_state_dict(tensors)
    gemma3.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@torch.no_grad()
def gemma3_rows(target: list[int], **changed) -> torch.Tensor:
    """Log-probabilities behind each token, by transformers' Gemma 3."""
    gemma3 = AutoModelForCausalLM.from_pretrained(as_gemma3(), dtype=torch.float32, **changed).eval()
    return torch.log_softmax(gemma3(torch.tensor([target]), use_cache=False).logits[0].double(), -1)
