"""Short digests of files, by which a run knows that it goes on with the same model and program."""
from hashlib import blake2b, file_digest
from pathlib import Path

from .errors import UserError, expected

SIZE = 8  # bytes


def short() -> blake2b:
    return blake2b(digest_size=SIZE)


def digest(file: Path) -> str:
    try:
        with open(file, "rb") as stream:
            return file_digest(stream, short).hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot read: {error.strerror}") from None


def model_digest(folder: Path) -> str:
    """Of everything in a checkpoint folder that an answer depends on."""
    files = sorted(file for file in folder.glob("*") if file.suffix in (".json", ".safetensors"))
    if not any(file.suffix == ".safetensors" for file in files):
        raise expected(folder, "files", "a checkpoint folder with *.safetensors", "none")
    return blake2b("".join(f"{file.name} {digest(file)}\n" for file in files).encode(), digest_size=SIZE).hexdigest()
