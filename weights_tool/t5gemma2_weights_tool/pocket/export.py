"""A trained model as a Hugging Face folder: bfloat16 weights, tokenizer, processor and generation settings, card."""
import json
import shutil
from pathlib import Path

import torch
from transformers import Gemma3Processor, GemmaTokenizer
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.utils.logging import disable_progress_bar

from ..config import write_json
from ..console import say
from ..errors import UserError
from ..random_checkpoint import generation_config
from . import learners

LARGEST = 9_000_000  # bytes of the whole folder
NEW_TOKENS = 64

disable_progress_bar()  # transformers' own, of files that take no time


def export(run, folder: Path) -> None:
    """The newest state of a training run (`pipeline.Run`), replacing what was exported there before."""
    stage, step, state = run.state()
    model = learners.fresh_t5gemma2(run.recipe, run.vocabulary, attention="eager")
    model.load_state_dict(state)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(run.tokenizer_folder / name, folder / name)
        model.to(torch.bfloat16).save_pretrained(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error.strerror}") from None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "generation_config.json", {**generation_config(config), "max_new_tokens": NEW_TOKENS})
    write_processor(folder, run.recipe.sizes)
    for file in folder.iterdir():
        file.chmod(0o644)  # as the repository keeps it
    size = sum(file.stat().st_size for file in folder.iterdir())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(f"{folder}: {stage}, step {step}: {parameters:,} parameters, {size / 1e6:.2f} MB")
    if size > LARGEST:
        raise UserError(f"{folder}: expected at most {LARGEST} bytes, found {size}")


def write_processor(folder: Path, sizes) -> None:
    """processor_config.json; the tokenizer's own files stay as they are."""
    side = {"height": sizes.vision["image_size"], "width": sizes.vision["image_size"]}
    image_processor = Gemma3ImageProcessorPil(size=side)
    processor = Gemma3Processor(image_processor, GemmaTokenizer.from_pretrained(folder),
                                image_seq_length=sizes.image_tokens)
    write_json(folder / "processor_config.json", processor.to_dict())
