"""Items as long as a length allows, counted in a tokenizer's tokens: both parts of the prompt, each with its <bos>, and
the tokens that may be written. What is asked follows from seed, family, length and number; how much filler fits, also from
tokenizer, wording, form and solved examples."""
from collections.abc import Callable
from dataclasses import dataclass

from tokenizers import Tokenizer

from ..errors import UserError, expected
from .item import Family, Group, Item, Maker, Wording
from .prompt import Prompt, prompt

PROBE = 64       # a first guess at the tokens of a unit is made from an item of length / PROBE units
REDRAWS = 1000   # of a solved example, until it is about other names
SPARE = 8        # tokens that may be written, beyond twice those of the answer: see the README


@dataclass(frozen=True)
class Fitted:
    item: Item
    prompt: Prompt
    new_tokens: int
    tokens: int  # of everything
    size: int    # units of filler


def largest(count: Callable[[int], int], length: int) -> int | None:
    """The size of which `count` is within `length`, while that of the next is not; count grows almost linearly, and a
    handful of calls do. None: even that of 0 is not."""
    low, high, at_low, at_high = 0, None, count(0), 0
    if at_low > length:
        return None
    size = max(1, length // PROBE)
    while high is None or high - low > 1:
        tokens = count(size)
        slope = max((tokens - at_low) / (size - low), 1e-3)
        if tokens > length:
            high, at_high = size, tokens
        else:
            low, at_low = size, tokens
        if high is not None:
            slope = (at_high - at_low) / (high - low)
        size = low + max(1, int((length - at_low) / slope))
        size = min(size, 4 * length) if high is None else min(size, high - 1)
        if low >= 4 * length:
            raise UserError(f"ruler: the tokenizer makes no tokens of text: {at_low} of {low} units of filler")
    return low


class Fitter:
    def __init__(self, tokenizer: Tokenizer, wording: Wording, form: str, shots: int, seed: int):
        self.tokenizer, self.wording, self.form, self.shots, self.seed = tokenizer, wording, form, shots, seed

    def seed_of(self, group: Group, number: int) -> str:
        return f"{self.seed} {group.family.name} {group.length} {number}"

    def count(self, text: str) -> int:
        return len(self.tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def new_tokens(self, item: Item) -> int:
        return 2 * self.count(item.solution) + SPARE

    def beginning(self, fitted: Fitted) -> str:
        """As much of an item's text as may be written: the answer of one who only copies."""
        ids = self.tokenizer.encode(fitted.item.text, add_special_tokens=False).ids
        return self.tokenizer.decode(ids[:fitted.new_tokens])

    def tokens(self, asked: Prompt, new_tokens: int) -> int:
        """The decoder has its <bos> even where it is given nothing else."""
        parts = [part for part in (asked.encoder, asked.decoder) if part is not None]
        return sum(1 + self.count(part) for part in parts) + new_tokens

    def fitted(self, group: Group, number: int) -> Fitted:
        """The longest item of the first maker whose items fit at all."""
        least = 0
        for maker in group.family.makers:
            make = self.sized(group, number, maker)
            size = largest(lambda size: make(size).tokens, group.length)
            if size is not None:
                return make(size)
            least = make(0).tokens
        raise too_short(group, least)

    def least(self, group: Group, number: int) -> Fitted:
        """The shortest item of this number."""
        return self.sized(group, number, group.family.makers[-1])(0)

    def sized(self, group: Group, number: int, maker: Maker) -> Callable[[int], Fitted]:
        """Items of a size; the solved examples and what may be written are the same for all."""
        family, seed = group.family, self.seed_of(group, number)
        first = maker(seed, 0)
        examples, new_tokens = self.examples(family, seed, maker, first.names), self.new_tokens(first)

        def make(size: int) -> Fitted:
            item = maker(seed, size)
            asked = prompt(item, examples, self.wording, self.form)
            return Fitted(item, asked, new_tokens, self.tokens(asked, new_tokens), size)
        return make

    def examples(self, family: Family, seed: str, maker: Maker, names: tuple[str, ...]) -> list[Item]:
        """Solved ones, no two of them and the item about the same names."""
        found, taken, solve = [], set(names), family.of_examples(maker)
        for draw in range(REDRAWS):
            if len(found) == self.shots:
                return found
            one = solve(f"{seed} example {draw}", family.example_size)
            if not taken & set(one.names):
                found.append(one)
                taken |= set(one.names)
        raise expected("ruler", "--shots", f"fewer, {family.name} has no more names", self.shots)

    def check(self, groups: list[Group], count: int) -> None:
        """That the shortest of `count` items fit into the shortest length of each family, before anything is run."""
        shortest = {group.family.name: group for group in sorted(groups, key=lambda group: -group.length)}
        for group in shortest.values():
            least = max(self.least(group, number).tokens for number in range(count))
            if least > group.length:
                raise too_short(group, least)


def too_short(group: Group, least: int) -> UserError:
    return expected("ruler", "--lengths", f"{least} tokens or more for {group.family.name} (or other --families)",
                    group.length)
