"""From an item to what the engine gets. With one solved example in front, in English:

    Remember the access codes in this text.                     |
                                                                |
    The tall baker ... The access code of calm-anchor is ...    |
                                                                |  encoder of the form `question-in-decoder`
    Question: What is the access code of calm-anchor?           |
    Answer: The access code of calm-anchor is 7012345.          |
                                                                |
    Remember the access codes in this text.                     |
                                                                |
    As usual the young nurse ...                                |
                                                                |
    Question: What is the access code of keen-ribbon?           :  and of `encoder`
    Answer: The access code of keen-ribbon is                   :  what the decoder is given in all of them

It is one text in every form; the forms cut it at different places, and `decoder-only` not at all.
"""
from dataclasses import dataclass

from .item import Item, Wording

FORMS = ("encoder", "question-in-decoder", "decoder-only")


@dataclass(frozen=True)
class Prompt:
    encoder: str | None  # None: no encoder input
    decoder: str

    def request(self) -> dict:
        """Keys of a line for t5gemma2-generate --jsonl."""
        encoder = {} if self.encoder is None else {"prompt": self.encoder}
        return encoder | {"decoder_prompt": self.decoder}


def question_of(item: Item, wording: Wording) -> str:
    return f"{wording.before_question}{item.question}{wording.before_answer}"


def prompt(item: Item, examples: list[Item], wording: Wording, form: str) -> Prompt:
    solved = [one.text + question_of(one, wording) + one.lead + one.solution + wording.between for one in examples]
    text, question = "".join(solved) + item.text, question_of(item, wording)
    if form == "encoder":
        return Prompt(text + question, item.lead)
    if form == "question-in-decoder":
        return Prompt(text, question + item.lead)
    return Prompt(None, text + question + item.lead)
