"""The pocket tokenizer and pictures in transformers: the class that T5Gemma 2 has, ids as SentencePiece makes them."""
import json
from random import Random

import numpy as np
import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

import sentencepiece  # noqa: E402
from test_pocket_vocabulary import sentencepiece_model  # noqa: E402
from transformers import AutoTokenizer, GemmaTokenizer, Gemma3Processor  # noqa: E402
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil  # noqa: E402

from t5gemma2_weights_tool.pocket import drawing, items, vocabulary  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pocket")
    vocabulary.write(folder)
    (folder / "config.json").write_text('{"model_type": "t5gemma2"}')
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_class_and_special_tokens(tokenizer, folder):
    assert type(tokenizer) is GemmaTokenizer
    assert len(tokenizer) == len(json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id) == (0, 1, 2, 3)
    assert (tokenizer.boi_token_id, tokenizer.eoi_token_id, tokenizer.image_token_id) == (5, 6, 7)


def test_ids_are_those_of_sentencepiece(tokenizer, folder):
    model = sentencepiece_model(json.loads((folder / "tokenizer.json").read_text("utf-8")))
    processor, rng = sentencepiece.SentencePieceProcessor(model_proto=model), Random(0)
    pieces = [piece for piece in tokenizer.get_vocab() if piece not in ("<pad>", "<eos>", "<bos>", "<unk>")]
    alphabet = [*pieces, *"abcdefghijklmnopqrstuvwxyz    \n\n", "é", "語", "🦊"]
    texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 20))) for _ in range(2000)]
    texts += [text for task in items.TASKS for _ in range(50)
              for item in [items.draw(task, rng, False)] for text in (item.prompt, item.answer)]
    for text in texts:
        assert tokenizer(text)["input_ids"] == [2, *processor.encode(text)], text


def test_processor(tokenizer):
    image_processor = Gemma3ImageProcessorPil(size={"height": 64, "width": 64})
    processor = Gemma3Processor(image_processor, tokenizer, image_seq_length=16)
    rng = Random(0)
    for _ in range(20):
        item = items.draw("question", rng, False, "which image")
        inputs = processor(text=item.prompt, images=[[drawing.picture(scene) for scene in item.scenes]], return_tensors="np")
        image = ["<start_of_image>", *["<image_soft_token>"] * 16, "<end_of_image>"]
        assert tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])[:41] == [
            "<bos>", "\n\n", *image, "\n\n\n\n", *image, "\n\n", "in"]
        seen = np.asarray(inputs["pixel_values"]).transpose(0, 2, 3, 1) * 127.5 + 127.5
        assert np.abs(seen - [drawing.pixels(scene) for scene in item.scenes]).max() < 1e-3
