"""Adapters of the pocket model, as peft saves them."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import T5Gemma2ForConditionalGeneration

from programs import ROOT

POCKET = ROOT / "examples/pocket"


def random_adapter(folder, *, seed: int = 0, std: float = 0.05, model=None, **config):
    """Of random numbers, saved by peft."""
    torch.manual_seed(seed)
    model = model or T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32)
    wrapped = get_peft_model(model, LoraConfig(**{"r": 4, "lora_alpha": 8, **config}))
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name or "modules_to_save" in name or (parameter.requires_grad and name.endswith(".bias")):
            torch.nn.init.normal_(parameter, std=std)
    wrapped.save_pretrained(folder)
    return folder
