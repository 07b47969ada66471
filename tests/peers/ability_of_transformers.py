"""What transformers can do with T5Gemma 2: texts, scores, tensors."""
import numpy as np
import torch
from abilities import distance, near, near_vectors, same, tries
from definition import (POCKET, PROMPTS, SOURCE, TARGET, generated, hidden_states, ids_of, items, load, model, plain,
                        rows, scores, texts, tokenizer)
from PIL import Image
from running import ROOT
from transformers import AutoProcessor
from without_source import gemma3_rows


@tries("transformers", "text in, text out, greedy", "the published folder as it is")
def greedy():
    """The answers that pocket was recorded with."""
    tasks = texts(short=True) + texts(short=False)
    return same([generated(ids_of(item["prompt"])) for item in tasks], [item["ids"] for item in tasks])


@tries("transformers", "images in")
def images():
    processor, found = AutoProcessor.from_pretrained(POCKET), []
    tasks = items("caption", "question")
    for item in tasks:
        pictures = [Image.open(ROOT / "tests/data/pocket" / name) for name in item["images"]]
        inputs = processor(text=item["prompt"], images=pictures, return_tensors="pt")
        found.append(plain(model().generate(**inputs, max_new_tokens=40, do_sample=False)[0].tolist()))
    return same(found, [item["ids"] for item in tasks])


@tries("transformers", "input longer than the sliding window", "log-probability of a target, given a source")
def long_input():
    """As in float64, and as the loss of training."""
    ids, labels = torch.tensor([SOURCE]), torch.tensor([TARGET[1:]])
    with torch.no_grad():
        loss = model()(input_ids=ids, labels=labels).loss
    assert abs(float(loss) + scores(SOURCE, TARGET).mean()) <= 1e-4
    return near(scores(SOURCE, TARGET), scores(SOURCE, TARGET, load(dtype=torch.float64)))


@tries("transformers", "the decoder alone, without a source")
def decoder_alone():
    """It is a Gemma 3."""
    return near(rows([], TARGET), gemma3_rows(TARGET))


@tries("transformers", "beam search")
def beams():
    """The score of the best text is its log-probability by length, and better than that of the greedy one."""
    source = ids_of(texts(short=False)[0]["prompt"])
    made = model().generate(input_ids=torch.tensor([source]), num_beams=4, do_sample=False, max_new_tokens=20,
                            return_dict_in_generate=True, output_scores=True)
    mean = [scores(source, ids).mean() for ids in (made.sequences[0].tolist(), [2, *generated(source), 1])]
    return "yes" if mean[0] >= mean[1] and abs(float(made.sequences_scores[0]) - mean[0]) <= 1e-4 else "wrong"


@tries("transformers", "sampling")
def sampling():
    def sampled(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return generated(SOURCE, do_sample=True, temperature=2.0, top_k=0, max_new_tokens=12)
    return same([sampled(1) == sampled(1), sampled(1) == sampled(2)], [True, False])


@tries("transformers", "several prompts in one batch")
def batch():
    inputs = tokenizer()([*PROMPTS, *(item["prompt"] for item in texts(short=False))], padding=True, return_tensors="pt")
    assert not inputs["attention_mask"].bool().all()
    made = [plain(ids) for ids in model().generate(**inputs, max_new_tokens=40, do_sample=False).tolist()]
    return same(made, [generated(ids_of(prompt)) for prompt in PROMPTS] + [item["ids"] for item in texts(short=False)])


class Heard:
    """A streamer: `generate` puts ids into it."""

    def __init__(self) -> None:
        self.ids: list[list[int]] = []
        self.put = lambda value: self.ids.append(value.flatten().tolist())
        self.end = lambda: None


@tries("transformers", "text streamed as it is made")
def streaming():
    """A token at a time, after the one that was given."""
    heard = Heard()
    made = generated(ids_of(PROMPTS[0]), streamer=heard)
    return same(heard.ids, [[2], *([id] for id in made), [1]])


@tries("transformers", "output held to a grammar")
def grammar():
    """Digits alone, which a function allows."""
    digits = [id for text, id in tokenizer().get_vocab().items() if text.isdigit()]
    made = generated(ids_of(PROMPTS[0]), prefix_allowed_tokens_fn=lambda _row, _ids: digits, max_new_tokens=5)
    return same([len(made), set(made) <= set(digits)], [5, True])


@tries("transformers", "the likeliest N of each step")
def likeliest():
    source = ids_of(texts(short=False)[0]["prompt"])
    made = model().generate(input_ids=torch.tensor([source]), do_sample=False, return_dict_in_generate=True,
                            output_logits=True, max_new_tokens=40)
    best = torch.log_softmax(torch.cat(made.logits).double(), -1).topk(5).values
    return near(best, rows(source, made.sequences[0, :-1].tolist()).topk(5).values)


@tries("transformers", "attention weights")
def attention_weights():
    """By the attention that is not the default; the two halves of merged attention add up to 1."""
    inputs = {"input_ids": torch.tensor([SOURCE]), "decoder_input_ids": torch.tensor([TARGET]), "output_attentions": True}
    assert model()(**inputs).decoder_attentions == ()
    with torch.no_grad():
        made = load(attn_implementation="eager")(**inputs)
    halves = made.decoder_attentions, made.cross_attentions
    assert [tuple(half[0].shape) for half in halves] == [(1, 4, 60, 60), (1, 4, 60, 80)]
    sums = [(own.sum(-1) + cross.sum(-1)).numpy() for own, cross in zip(*halves, strict=True)]
    return near_vectors(sums, np.ones_like(sums))


@tries("transformers", "every intermediate tensor by name")
def every_tensor():
    """By forward hooks: here every linear layer's input and output."""
    model_, found = load(), {}
    linear = {name: layer for name, layer in model_.named_modules() if type(layer) is torch.nn.Linear}
    for name, layer in linear.items():
        layer.register_forward_hook(lambda layer, x, y, name=name: found.update({name: (x[0], y)}))
    scores(SOURCE, TARGET, model_)
    named = [name for name in linear if "vision" not in name]  # no image was given
    assert len(named) == 85 and set(found) == set(named)
    with torch.no_grad():
        return same([distance(y, linear[name](x)) < 1e-5 for name, (x, y) in found.items()], [True] * len(named))


@tries("transformers", "output of every encoder layer")
def encoder_layers():
    """As in float64."""
    with torch.no_grad():
        exact = load(dtype=torch.float64).get_encoder()(input_ids=torch.tensor([SOURCE]), output_hidden_states=True)
    assert len(exact.hidden_states) == 7
    return near_vectors(hidden_states(SOURCE), [state[0].numpy() for state in exact.hidden_states])
