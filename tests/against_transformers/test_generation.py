"""Every token of every text that random generation_config.json files make, against transformers."""

import json
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, T5Gemma2ForConditionalGeneration

import random_generation
from programs import ROOT, TOKENIZER, run
from t5gemma2_weights_tool.cli import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small random model with a tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    preset = json.loads((ROOT / "weights_tool/t5gemma2_weights_tool/presets/tiny.json").read_text())
    for part in preset["encoder"]["text_config"], preset["decoder"]:
        part["vocab_size"] = 652
    (folder / "preset.json").write_text(json.dumps(preset))
    assert main(["random", str(folder / "preset.json"), "--text-only", "-o", str(folder / "model")]) == 0
    (folder / "model/tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    return folder / "model"


def their_texts(model, ids: list[int], decoder_prompt: list[int] | None, config: dict) -> list[list[int]]:
    """Without the padding behind a shorter one of several."""
    model.generation_config = GenerationConfig(**config)
    prompt = {} if decoder_prompt is None else {"decoder_input_ids": torch.tensor([decoder_prompt])}
    texts = model.generate(input_ids=torch.tensor([ids]), **prompt).tolist()
    eos = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    start = 1 if decoder_prompt is None else len(decoder_prompt) + (decoder_prompt[0] != texts[0][0])
    ends = [next((i + 1 for i in range(start, len(text)) if text[i] in eos), len(text)) for text in texts]
    return [text[:end] for text, end in zip(texts, ends)]


def test_generation_config(checkpoint, tmp_path):
    model = T5Gemma2ForConditionalGeneration.from_pretrained(checkpoint).eval()
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for seed in range(120):
        rng = random.Random(seed)
        request = {"prompt": rng.choice(["the cat", "The quick brown fox", "a", "A long village over the river."])}
        if rng.random() < 0.5:
            request["decoder_prompt"] = rng.choice(["the", "A dog"])
        ids, decoder_ids = (tokenizer.encode(request[key]).ids if key in request else None
                            for key in ("prompt", "decoder_prompt"))
        plain = {"bos_token_id": 2, "eos_token_id": 1, "max_new_tokens": 12}
        likely = their_texts(model, ids, None, plain)[0][1:] + ids[1:]
        config = random_generation.generation_config(rng, likely, 652)
        (tmp_path / "generation_config.json").write_text(json.dumps(config))
        result = run("t5gemma2-generate", "-m", tmp_path, "--jsonl", "-q", text=json.dumps(request) + "\n")
        assert result.returncode == 0, (config, result.stderr)
        answer = json.loads(result.stdout)
        ours = [text["ids"] for text in answer.get("sequences", [answer])]
        assert ours == their_texts(model, ids, decoder_ids, config), (seed, config, request)
