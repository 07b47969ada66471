"""A checkpoint folder's tokenizer.json in Hugging Face's tokenizers."""
from pathlib import Path

from tokenizers import Tokenizer

from .errors import UserError, expected


def load_tokenizer(folder: Path) -> Tokenizer:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise expected(file, "file", "the tokenizer of a checkpoint folder", "none")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{file}: tokenizers cannot read it: {error}") from None
