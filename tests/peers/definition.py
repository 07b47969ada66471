"""What the tries compare with: the pocket model in transformers and float32, its inputs, and adapters for it."""
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from abilities import scratch
from peft import LoraConfig, PeftModel, get_peft_model
from running import ROOT
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

POCKET = ROOT / "examples/pocket"
WINDOW = 32
RANDOM = np.random.default_rng(0)
SOURCE = [2, *RANDOM.integers(300, 1200, 79).tolist()]  # longer than the window
TARGET = [2, *RANDOM.integers(300, 1200, 59).tolist()]  # the decoder's input, as long as it is
SHORT_SOURCE, SHORT_TARGET = SOURCE[:WINDOW // 2 - 1], TARGET[:WINDOW - 1]
PROMPTS = ["in words: 39629", "date: march 5, 2024", "sort: ox cat", "in words: 7", "sort: viper otter frog hen"]
ADAPTED = r".*\.decoder\..*\.(q_proj|v_proj|up_proj|down_proj)"  # so that the decoder alone can be adapted, too
SCALES = (0.5, -1.5)


def load(folder: Path = POCKET, **options):
    return AutoModelForSeq2SeqLM.from_pretrained(folder, **{"dtype": torch.float32, **options}).eval()


@cache
def model():
    return load()


@cache
def tokenizer():
    return AutoTokenizer.from_pretrained(POCKET)


def ids_of(text: str) -> list[int]:
    return tokenizer()(text)["input_ids"]


def items(*tasks: str, count: int = 4) -> list[dict]:
    """The first items of tasks of pocket, with the ids that answer them."""
    lines = [json.loads(line) for line in (ROOT / "tests/data/pocket/items.jsonl").read_text().splitlines()]
    return [item for task in tasks for item in [line for line in lines if line["task"] == task][:count]]


def texts(short: bool) -> list[dict]:
    """Items of text alone: up to half a window, or retrieval out of some 240 tokens."""
    if not short:
        return items("retrieval")
    return [item for item in items("dates", "numbers", "sorting") if len(ids_of(item["prompt"])) <= WINDOW // 2]


def generated(source: list[int], **options) -> list[int]:
    """Greedy, without bos and eos."""
    made = model().generate(input_ids=torch.tensor([source]), **{"max_new_tokens": 40, "do_sample": False, **options})
    return plain(made[0].tolist())


def plain(ids: list[int]) -> list[int]:
    return [id for id in ids if id > 2]


@torch.no_grad()
def rows(source: list[int], target: list[int], of=None) -> torch.Tensor:
    """Log-probabilities [m, vocabulary] behind each token of the target; no source is one that the mask hides."""
    ids = torch.tensor([source or [2]])
    logits = (of or model())(input_ids=ids, attention_mask=torch.full_like(ids, int(bool(source))),
                             decoder_input_ids=torch.tensor([target]), use_cache=False).logits[0]
    return torch.log_softmax(logits.double(), -1)


def chosen(table, target: list[int]) -> np.ndarray:
    """Of each token of the target, behind those before it."""
    return np.asarray(table)[np.arange(len(target) - 1), target[1:]]


def scores(source: list[int], target: list[int], of=None) -> np.ndarray:
    return chosen(rows(source, target, of), target)


@torch.no_grad()
def hidden_states(source: list[int], of=None) -> list[np.ndarray]:
    """Of the embedding and each layer of the encoder, [n, d]."""
    made = (of or model()).get_encoder()(input_ids=torch.tensor([source]), output_hidden_states=True)
    return [state[0].numpy() for state in made.hidden_states]


def embedding(source: list[int], of=None) -> np.ndarray:
    """The mean of the encoder's output."""
    return hidden_states(source, of)[-1].mean(0)


# ---- adapters ----


@cache
def adapter(number: int) -> Path:
    """A LoRA adapter of random numbers, as peft saves it; two differ in rank, too."""
    torch.manual_seed(number)
    wrapped = get_peft_model(load(), LoraConfig(r=3 + number, lora_alpha=8, target_modules=ADAPTED))
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    folder = scratch() / f"adapter-{number}"
    wrapped.save_pretrained(folder)
    return folder


@cache
def adapted(*scales: float):
    """W + s B A by hand, with a scale for each adapter."""
    changed = load()
    for number, scale in enumerate(scales):
        tensors = load_file(adapter(number) / "adapter_model.safetensors")
        for name in [name for name in tensors if "lora_A" in name]:
            change = tensors[name.replace("lora_A", "lora_B")] @ tensors[name] * 8 / (3 + number)
            path = name.removeprefix("base_model.model.").replace("lora_A.", "")
            changed.get_parameter(path).data += scale * change
    return changed


@cache
def merged() -> Path:
    """A fine-tune as peft merges it, saved like any checkpoint."""
    folder = scratch() / "merged"
    PeftModel.from_pretrained(load(), adapter(0)).merge_and_unload().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
