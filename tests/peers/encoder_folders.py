"""Folders of pocket's encoder: alone, and for sentence-transformers."""
import shutil
from functools import cache
from pathlib import Path

import torch
from abilities import scratch
from definition import POCKET, model, tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

LINES = ["sort: ox cat", "in words: 39629", "the old fox paints a red duck at the river " * 5]  # the last beyond the window


@cache
def encoder_alone() -> Path:
    folder = scratch() / "encoder"
    model().get_encoder().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    shutil.copy(POCKET / "processor_config.json", folder)
    return folder


@cache
def sentence_folder() -> Path:
    torch.manual_seed(3)
    folder, width = scratch() / "sentence", model().config.decoder.hidden_size
    modules = [Transformer(str(encoder_alone())), Pooling(width, "mean"), Dense(width, 24), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def sentence_transformer() -> SentenceTransformer:
    return SentenceTransformer(str(sentence_folder()), device="cpu")


@torch.no_grad()
def by_hand() -> torch.Tensor:
    """What the folder's modules make of the lines, each alone."""
    dense = sentence_transformer()[2].linear
    states = [model().get_encoder()(**tokenizer()(line, return_tensors="pt")).last_hidden_state[0] for line in LINES]
    return torch.nn.functional.normalize(torch.tanh(dense(torch.stack([state.mean(0) for state in states]))))
