"""CTranslate2: the text half, converted by its own converter. Inputs are cut at 1024 tokens unless it is told not to."""
import time
from multiprocessing import get_context
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from transformers import AutoConfig

from .engines import Files
from .logits import log_probabilities

WHOLE = 0  # max_input_length: do not cut


def piece(id: int) -> str:
    """CTranslate2 takes and gives pieces, not ids; these stand for ids."""
    return f"<{id}>"


class Pieces:
    """What its converter asks of a tokenizer."""

    def __init__(self, config) -> None:
        self.size = config.decoder.vocab_size
        self.bos_token, self.eos_token = piece(config.decoder.bos_token_id), piece(config.decoder.eos_token_id)
        self.unk_token = self.eos_token

    def get_vocab(self) -> dict[str, int]:
        return {piece(id): id for id in range(self.size)}


class Converter(TransformersConverter):
    def load_model(self, model_class, folder: str, **more):
        """In float32: it adds 1 to norms' weights, which bfloat16 would round."""
        return super().load_model(model_class, folder, **{**more, "dtype": torch.float32})

    def load_tokenizer(self, _tokenizer_class, folder: str, **_) -> Pieces:
        return Pieces(AutoConfig.from_pretrained(folder))


def convert(model: str, folder: str) -> None:
    Converter(model).convert(folder, quantization="float32")


def converted(files: Files) -> Path:
    """The folder, made once for all precisions: weights are rounded when they are loaded. Another process makes it, so
    that its memory is free again."""
    folder = files.work / "ctranslate2"
    if not folder.exists():
        process = get_context("spawn").Process(target=convert, args=(str(files.model), str(folder)))
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError("its converter failed")
    return folder


class Ctranslate2Model:
    def __init__(self, files: Files, precision: str) -> None:
        self.precision, self.folder = precision, str(converted(files))
        self.version = ctranslate2.__version__
        self.set_threads(1)

    def set_threads(self, threads: int) -> None:
        self.translator = None  # two would not fit everywhere
        self.translator = ctranslate2.Translator(self.folder, compute_type=self.precision, intra_threads=threads)

    def seconds(self, encoder_ids: list[int], decoder_ids: list[int], steps: int) -> tuple[float, float]:
        """It encodes and decodes in one call: encoding is what passes before the first token, less one step."""
        stamps: list[float] = []

        def stamp(_) -> bool:
            stamps.append(time.perf_counter())
            return False
        start = time.perf_counter()
        self.translator.translate_batch(
            [[piece(id) for id in encoder_ids]], beam_size=1, max_input_length=WHOLE, callback=stamp,
            min_decoding_length=steps + 1, max_decoding_length=steps + 1)
        writing = stamps[steps] - stamps[0]
        return stamps[0] - start - writing / steps, writing

    def log_probabilities(self, encoder_ids: list[int], decoder_ids: list[int], last: int) -> list[float]:
        """From decoding with a prefix. (Its `score_batch` lets a token see those behind it.)"""
        forced = decoder_ids[1:]  # it puts the start token in front by itself
        made = self.translator.translate_batch(
            [[piece(id) for id in encoder_ids]], [[piece(id) for id in forced]], beam_size=1, max_input_length=WHOLE,
            min_decoding_length=0, max_decoding_length=len(forced), return_logits_vocab=True)
        return log_probabilities(np.stack([np.array(row) for row in made[0].logits[0][-last:]]), forced[-last:])


def load(files: Files, precision: str) -> Ctranslate2Model:
    return Ctranslate2Model(files, precision)
