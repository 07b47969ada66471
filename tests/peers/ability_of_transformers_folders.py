"""What transformers, peft and sentence-transformers can do with T5Gemma 2: embeddings, fine-tunes, smaller weights."""
import warnings
from importlib.metadata import files

import torch
from abilities import near, near_vectors, on_the_page, refused, rounded, tries
from definition import (SCALES, SOURCE, TARGET, adapted, adapter, embedding, hidden_states, load, merged, model, scores,
                        tokenizer)
from encoder_folders import LINES, by_hand, encoder_alone, sentence_transformer
from peft import PeftModel
from transformers import BitsAndBytesConfig, TorchAoConfig
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

FARTHEST = 0.25  # nats, on average, at 8 bits


@tries("transformers", "an embedding of a text")
def one_embedding():
    """The mean of the encoder's output, as in float64."""
    with torch.no_grad():
        exact = load(dtype=torch.float64).get_encoder()(input_ids=torch.tensor([SOURCE])).last_hidden_state[0]
    return near_vectors(embedding(SOURCE), exact.mean(0))


@tries("transformers", "embeddings of several texts at once")
def several_embeddings():
    """Padded, with a mask."""
    inputs = tokenizer()(LINES, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"][..., None]
    assert not mask.all()
    with torch.no_grad():
        states = model().get_encoder()(**inputs).last_hidden_state
    return near_vectors((states * mask).sum(1) / mask.sum(1), [embedding(tokenizer()(line)["input_ids"]) for line in LINES])


@tries("transformers", "a sentence-transformers folder")
def sentences():
    return near_vectors(sentence_transformer().encode(LINES), by_hand())


@tries("transformers", "a folder of the encoder alone")
def encoder_folder():
    """The end-of-image token is Google's, whatever config.json says."""
    encoder = T5Gemma2Encoder.from_pretrained(encoder_alone(), dtype=torch.float32).eval()
    assert encoder.config.eoi_token_index == 6
    assert str(encoder.text_model.embed_tokens.eoi_token_index) == on_the_page("256000")
    with torch.no_grad():
        return near_vectors(encoder(input_ids=torch.tensor([SOURCE])).last_hidden_state[0], hidden_states(SOURCE)[-1])


def changed(found, *scales: float) -> str:
    """As with adapters that are added by hand, and not as without."""
    assert abs(found - scores(SOURCE, TARGET)).max() > 0.1
    return near(found, scores(SOURCE, TARGET, adapted(*scales)))


@tries("transformers", "a LoRA adapter, unmerged")
def lora():
    return changed(scores(SOURCE, TARGET, PeftModel.from_pretrained(load(), adapter(0)).eval()), 1)


@tries("transformers", "several adapters, each with a weight")
def several_adapters():
    wrapped = PeftModel.from_pretrained(load(), adapter(0), adapter_name="first")
    wrapped.load_adapter(adapter(1), adapter_name="second")
    wrapped.add_weighted_adapter(["first", "second"], list(SCALES), "both", combination_type="cat")
    wrapped.set_adapter("both")
    return changed(scores(SOURCE, TARGET, wrapped.eval()), *SCALES)


@tries("transformers", "a merged fine-tune")
def fine_tune():
    return changed(scores(SOURCE, TARGET, load(merged())), 1)


@tries("transformers", "bfloat16 products")
def bfloat16():
    return rounded(scores(SOURCE, TARGET, load(dtype=torch.bfloat16)), scores(SOURCE, TARGET), 0.05)


@tries("transformers", "8-bit weights")
def eight_bits():
    """Of torch, which calls them deprecated; those that transformers has a config for need further packages."""
    assert refused(lambda: load(quantization_config=BitsAndBytesConfig(load_in_8bit=True)), "requires bitsandbytes") == "no"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        small = torch.ao.quantization.quantize_dynamic(load(), {torch.nn.Linear}, dtype=torch.qint8)
    assert any(on_the_page("torch.ao.quantization is deprecated") in str(one.message) for one in said)
    return rounded(scores(SOURCE, TARGET, small), scores(SOURCE, TARGET), FARTHEST)


@tries("transformers", "4-bit weights")
def four_bits():
    assert refused(lambda: load(quantization_config=TorchAoConfig("int4_weight_only")), "requires torchao") == "no"
    return refused(lambda: load(quantization_config=BitsAndBytesConfig(load_in_4bit=True)), "requires bitsandbytes")


@tries("transformers", "without Python")
def without_python():
    """All that it is made of is Python."""
    suffixes = {file.suffix for file in files("transformers") if file.parts[0] == "transformers"}
    return "no" if suffixes - {".pyc", ".typed"} == {".py"} else "yes"
