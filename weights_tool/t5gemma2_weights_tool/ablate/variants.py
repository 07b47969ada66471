"""The variants: what is trained, from what, in which stages, and how it answers.

    base           as the pocket recipe has it
    untied         two embeddings
    split          cross-attention of its own
    global-cross   the encoder seen in global layers only
    decoder-only   a Gemma 3 as large as base, prompt and answer in one stream
    no-ul2         adapted, and never denoised
    from-scratch   no decoder-only parent
"""
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..errors import expected
from ..pocket import learners
from ..pocket.answers import Transformers, exact, stripped
from ..pocket.batches import TENSORS
from ..pocket.recipe import STAGES, Recipe, Stage
from ..pocket.samples import BOS, EOS, PAD
from . import architectures, decoder_only

PARENT = "language"  # the stage of the decoder-only parent, trained once for all that are adapted from it


@dataclass(frozen=True)
class Variant:
    name: str
    what: str

    tensors = TENSORS
    text_learner = learners.T5Gemma2Learner

    @property
    def stages(self) -> tuple[str, ...]:
        """Trained with this model, in order; the parent's is not."""
        raise NotImplementedError

    @property
    def adapted(self) -> bool:
        """From the parent."""
        raise NotImplementedError

    def recipe(self, recipe: Recipe, pieces: int) -> Recipe:
        """With this variant's sizes, for a vocabulary of so many pieces."""
        return recipe

    def fresh(self, recipe: Recipe, pieces: int, adapt: Callable[[nn.Module], None] | None = None) -> nn.Module:
        """With random weights, or what `adapt` puts into base before it is changed."""
        raise NotImplementedError

    def answer(self, model: nn.Module, samples: list, longest: int) -> list[list[int]]:
        """Greedy, up to `longest` tokens; the prompts are of one length."""
        raise NotImplementedError

    def learner(self, recipe: Recipe, stage: Stage, model: nn.Module) -> learners.Learner:
        kind = learners.VisionLearner if stage.name == "vision" else self.text_learner
        return kind(recipe, stage, model)


@dataclass(frozen=True)
class EncoderDecoder(Variant):
    """transformers' T5Gemma 2, changed in place."""
    change: Callable[[nn.Module], None] = architectures.keep
    without: str = ""  # a stage that is left out

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(name for name in STAGES if name not in (PARENT, self.without))

    @property
    def adapted(self) -> bool:
        return self.without != PARENT

    def fresh(self, recipe: Recipe, pieces: int, adapt: Callable[[nn.Module], None] | None = None) -> nn.Module:
        model = learners.fresh_t5gemma2(recipe, pieces)
        if adapt:
            adapt(model)
        self.change(model)
        return model

    @torch.no_grad()
    def answer(self, model: nn.Module, samples: list, longest: int) -> list[list[int]]:
        """Without a cache, which changed layers lack."""
        inputs = exact(samples)
        H = model.get_encoder()(**inputs)
        ids = torch.full((len(samples), 1), BOS)
        ended = torch.zeros(len(samples), dtype=torch.bool)
        while not ended.all() and ids.shape[1] <= longest:
            logits = model(encoder_outputs=H, attention_mask=inputs["attention_mask"], decoder_input_ids=ids,
                           use_cache=False, logits_to_keep=1).logits
            ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
            ended |= ids[:, -1] == EOS
        return [stripped(row) for row in ids.tolist()]


@dataclass(frozen=True)
class DecoderOnly(Variant):
    """transformers' Gemma 3."""
    tensors = decoder_only.ONE_STREAM
    text_learner = decoder_only.OneStreamLearner
    stages = STAGES
    adapted = False

    def recipe(self, recipe: Recipe, pieces: int) -> Recipe:
        return replace(recipe, sizes=decoder_only.as_large_as_base(recipe.sizes, pieces))

    def fresh(self, recipe: Recipe, pieces: int, adapt: Callable[[nn.Module], None] | None = None) -> nn.Module:
        return decoder_only.fresh(recipe, pieces)

    @torch.no_grad()
    def answer(self, model: nn.Module, samples: list, longest: int) -> list[list[int]]:
        """With transformers' cache."""
        ids = torch.tensor([[*sample.encoder, BOS] for sample in samples])
        tokens = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **decoder_only.seen(ids, samples),
                                do_sample=False, max_new_tokens=longest, eos_token_id=EOS, pad_token_id=PAD)
        return [stripped(row) for row in tokens[:, ids.shape[1]:].tolist()]


VARIANTS: dict[str, Variant] = {variant.name: variant for variant in (
    EncoderDecoder("base", "merged attention, one embedding"),
    EncoderDecoder("untied", "two embeddings", architectures.untie),
    EncoderDecoder("split", "self-attention and cross-attention", architectures.split),
    EncoderDecoder("global-cross", "the encoder in global layers only", architectures.hide_encoder_in_local_layers),
    DecoderOnly("decoder-only", "one stack as large as base"),
    EncoderDecoder("no-ul2", "adapted, without UL2", without="ul2"),
    EncoderDecoder("from-scratch", "not adapted", without=PARENT),
)}


def named(names: list[str]) -> list[Variant]:
    """In the order of VARIANTS."""
    for name in names:
        if name not in VARIANTS:
            raise expected("ablate", "--variants", f"some of {', '.join(VARIANTS)}", name)
    return [VARIANTS[name] for name in VARIANTS if name in names]


class Answers(Transformers):
    """A variant's greedy answers to items; beyond the longest right one and its eos they are wrong, and are cut there."""

    def __init__(self, variant: Variant, model: nn.Module, maker):
        super().__init__(model.eval(), maker)
        self.variant = variant

    def generate(self, samples):
        return self.variant.answer(self.model, samples, max(len(sample.answer) for sample in samples) + 1)
