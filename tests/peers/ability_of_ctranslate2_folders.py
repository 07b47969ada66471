"""What CTranslate2 can do with T5Gemma 2: tensors, embeddings, fine-tunes, smaller weights."""
from pathlib import Path

import ctranslate2
from ability_of_ctranslate2 import converted, forced, in_float32, translator, written
from abilities import absent, near, refused, rounded, tries
from ctranslate2.converters import TransformersConverter
from definition import POCKET, SHORT_SOURCE, SHORT_TARGET, adapted, adapter, merged, scores
from encoder_folders import encoder_alone, sentence_folder
from without_python import CTRANSLATE2, loads


@tries("CTranslate2", "attention weights")
def attention_weights():
    return refused(lambda: written([SHORT_SOURCE], return_attention=True), "Gather: rank of data")


@tries("CTranslate2", "every intermediate tensor by name")
def every_tensor():
    """An answer has four fields."""
    [answer] = written([SHORT_SOURCE])
    fields = {name for name in dir(answer) if not name.startswith("_")}
    assert fields == {"attention", "hypotheses", "logits", "scores"}
    return absent(names(), "hook", "trace", "tensor_by", "intermediate")


def names() -> list[str]:
    """Of what can be called for a model of two sides, and of its arguments."""
    found = [*dir(ctranslate2), *dir(ctranslate2.Translator), *ctranslate2.Translator.translate_batch.__doc__.split()]
    return [name for name in found if not name.startswith("_")]


@tries("CTranslate2", "output of every encoder layer", "an embedding of a text", "embeddings of several texts at once")
def encoder():
    """What encodes takes no model of two sides, and what takes one does not encode."""
    assert absent(dir(ctranslate2.Translator), "encode", "hidden", "embed", "forward") == "no"
    return refused(lambda: ctranslate2.Encoder(converted(in_float32())), "This model cannot be used as a sequence encoder")


def conversion(folder: Path, message: str) -> str:
    return refused(lambda: TransformersConverter(str(folder)).convert(f"{folder}-ct2"), message)


@tries("CTranslate2", "a folder of the encoder alone")
def encoder_folder():
    return conversion(encoder_alone(), "No conversion is registered for the model configuration T5Gemma2EncoderConfig")


@tries("CTranslate2", "a sentence-transformers folder")
def sentences():
    return conversion(sentence_folder(), "No conversion is registered for the model configuration T5Gemma2EncoderConfig")


@tries("CTranslate2", "a LoRA adapter, unmerged", "several adapters, each with a weight")
def lora():
    assert absent(names(), "lora", "adapter") == "no"
    return conversion(adapter(0), "Unrecognized model")


@tries("CTranslate2", "a merged fine-tune")
def fine_tune():
    [found] = forced([SHORT_SOURCE], SHORT_TARGET, translator(merged()))
    assert abs(found - scores(SHORT_SOURCE, SHORT_TARGET)).max() > 0.1
    return near(found, scores(SHORT_SOURCE, SHORT_TARGET, adapted(1)))


@tries("CTranslate2", "bfloat16 products")
def bfloat16():
    return refused(lambda: translator(compute_type="bfloat16"), "do not support efficient bfloat16")


@tries("CTranslate2", "8-bit weights")
def eight_bits():
    [found] = forced([SHORT_SOURCE], SHORT_TARGET, translator(compute_type="int8"))
    return rounded(found, scores(SHORT_SOURCE, SHORT_TARGET), 0.25)


@tries("CTranslate2", "4-bit weights")
def four_bits():
    return refused(lambda: TransformersConverter(str(POCKET)).convert("nowhere", quantization="int4"),
                   "int4 is not a valid quantization type")


@tries("CTranslate2", "the published folder as it is")
def published():
    return refused(lambda: ctranslate2.Translator(str(POCKET)), "Unable to open file 'model.bin'")


@tries("CTranslate2", "without Python")
def without_python():
    """The wheel's C++ library, in a program of its own."""
    [library] = Path(ctranslate2.__file__).parents[1].glob("ctranslate2.libs/libctranslate2*")
    return "yes" if loads(CTRANSLATE2, library, converted(in_float32())) else "no"
