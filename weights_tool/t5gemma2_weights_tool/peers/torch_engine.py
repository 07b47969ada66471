"""transformers, as `from_pretrained` and `generate` run it: its own choice of attention (sdpa)."""
import time

import torch
import transformers
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from ..model import load_config, load_model
from .engines import Files
from .logits import log_probabilities

ATTENTION = "sdpa"


class Stamps:
    """Times at which `generate` hands over tokens; first of all it hands over the ids that were given."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, _) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


class TorchModel:
    def __init__(self, files: Files, precision: str) -> None:
        self.model = load_model(files.model, load_config(files.model))
        self.dtype = getattr(torch, precision)
        for parameter in self.model.parameters():  # not the buffers: RoPE's frequencies are float32 always
            parameter.data = parameter.data.to(self.dtype)
        self.model.set_attn_implementation(ATTENTION)
        self.version = f"{transformers.__version__}, torch {torch.__version__}, {ATTENTION}"

    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    @torch.inference_mode()
    def seconds(self, encoder_ids: list[int], decoder_ids: list[int], steps: int) -> tuple[float, float]:
        ids = torch.tensor([encoder_ids])
        mask = torch.ones_like(ids)
        start = time.perf_counter()
        encoded = self.model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        reading = time.perf_counter() - start
        decoder = self.model.config.decoder
        self.model.generation_config = GenerationConfig(
            do_sample=False, max_new_tokens=steps + 1, eos_token_id=None, pad_token_id=decoder.pad_token_id,
            bos_token_id=decoder.bos_token_id, decoder_start_token_id=decoder.bos_token_id, use_cache=True)
        stamps = Stamps()
        self.model.generate(encoder_outputs=BaseModelOutput(last_hidden_state=encoded), attention_mask=mask,
                            decoder_input_ids=torch.tensor([decoder_ids]), streamer=stamps)
        return reading, stamps.times[-1] - stamps.times[-1 - steps]

    @torch.inference_mode()
    def text_seconds(self, texts: list[list[int]], batch: int) -> float:
        """Of the mean of the encoder's output of each text; texts of like lengths are encoded together, padded."""
        texts = sorted(texts, key=len)
        start = time.perf_counter()
        for first in range(0, len(texts), batch):
            rows = texts[first:first + batch]
            longest = len(rows[-1])
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
            output = self.model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            (output * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return time.perf_counter() - start

    @torch.inference_mode()
    def log_probabilities(self, encoder_ids: list[int], decoder_ids: list[int], last: int) -> list[float]:
        """Without encoder input: one that the mask hides, which is the same model."""
        ids = torch.tensor([encoder_ids or [self.model.config.decoder.bos_token_id]])
        mask = torch.full_like(ids, int(bool(encoder_ids)))
        logits = self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=torch.tensor([decoder_ids]),
                            use_cache=False).logits[0, -last - 1:-1]
        return log_probabilities(logits.float().numpy(), decoder_ids[-last:])

    @torch.inference_mode()
    def image_seconds(self) -> float:
        vision = self.model.config.encoder.vision_config
        pixels = torch.zeros(1, vision.num_channels, vision.image_size, vision.image_size, dtype=self.dtype)
        start = time.perf_counter()
        self.model.model.encoder.get_image_features(pixels)
        return time.perf_counter() - start


def load(files: Files, precision: str) -> TorchModel:
    return TorchModel(files, precision)
