"""The `weights_tool` command. Exit status: 0 done, 1 bad input (one line on standard error), 2 wrong usage."""
import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np

from . import adapt, config, fixtures, names, random_checkpoint
from .errors import UserError, say
from .flags import count, id_list, positive
from .inputs import Inputs, random_ids, random_pixels, read_pixels
from .pocket import commands as pocket_commands
from .storage import DTYPE_BYTES


def add_record(commands) -> None:
    parser = commands.add_parser("record", help="transformers' activations of a checkpoint folder")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the reference.safetensors to write")
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument("--input-ids", type=id_list, metavar="2,5,7", help="encoder input")
    encoder.add_argument("--input-text", metavar="TEXT", help="encoder input, by the checkpoint's tokenizer.json")
    encoder.add_argument("--input-length", type=count, metavar="N", help="N random ids, bos first (default 16)")
    encoder.add_argument("--no-encoder-input", action="store_true", help="n = 0")
    decoder = parser.add_mutually_exclusive_group()
    decoder.add_argument("--decoder-input-ids", type=id_list, metavar="2,5,7")
    decoder.add_argument("--decoder-input-text", metavar="TEXT")
    decoder.add_argument("--decoder-length", type=positive, metavar="M", help="M random ids, bos first (default 8)")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--images", type=count, default=0, metavar="K", help="K random pictures in the random input")
    pictures.add_argument("--pixel-values", type=Path, metavar="FILE", help=".npy or .safetensors")
    parser.add_argument("--seed", type=count, default=0, help="of the random ids and pictures")
    parser.add_argument("--generate", type=count, default=0, metavar="N", help="N greedy tokens, eos not stopping")
    prefix = parser.add_mutually_exclusive_group()
    prefix.add_argument("--generate-from", type=id_list, metavar="2,5,7", help="decoder prefix, bos included")
    prefix.add_argument("--generate-from-decoder-input", action="store_true", help="the decoder input is the prefix")
    parser.add_argument("--light", action="store_true", help="only layers, final norms, embeddings, head and logits")
    parser.add_argument("--last-rows", type=positive, metavar="N", help="store the last N rows of longer tensors")
    parser.set_defaults(run=run_record)


def add_random(commands) -> None:
    parser = commands.add_parser("random", help="a random checkpoint folder from a config.json")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("config", type=Path, nargs="?", metavar="CONFIG.json")
    source.add_argument("--preset", choices=config.preset_names())
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--dtype", choices=sorted(DTYPE_BYTES), default="float32")
    parser.add_argument("--spelling", choices=names.SPELLINGS, default="hub", help="of the tensor names")
    parser.add_argument("--shards", type=positive, default=1)
    parser.add_argument("--untied", choices=sorted(names.UNTIED), help="store these with values of their own")
    parser.add_argument("--text-only", action="store_true", help="store no vision tensors")
    parser.add_argument("--old-keys", action="store_true", help="write config.json with the older RoPE keys")
    parser.add_argument("--force", action="store_true", help="replace the weights in the output folder")
    parser.set_defaults(run=run_random)


def add_adapt(commands) -> None:
    parser = commands.add_parser("adapt", help="Gemma 3 (folder or GGUF file) -> T5Gemma 2 (paper section 3.1)")
    parser.add_argument("gemma3", type=Path, metavar="GEMMA3")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, metavar="tokenizer.json[.xz]", help="copied into the folder")
    parser.add_argument("--rope-factor", type=float, metavar="F",
                        help="of the full-attention layers (default: Gemma 3's own; published T5Gemma 2 has 8)")
    parser.add_argument("--dtype", choices=sorted(DTYPE_BYTES), default="bfloat16")
    parser.add_argument("--eoi-token-index", type=count, default=256000, metavar="ID",
                        help="end of image (default 256000); its neighbours are begin of image and image")
    parser.add_argument("--force", action="store_true", help="replace the weights in the output folder")
    parser.set_defaults(run=run_adapt)


def add_fixtures(commands) -> None:
    parser = commands.add_parser("fixtures", help="the small checkpoints with references that the tests read")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=sorted(fixtures.FIXTURES), metavar="NAME")
    parser.set_defaults(run=run_fixtures)


def need_torch() -> None:
    if any(importlib.util.find_spec(package) is None for package in ("torch", "transformers")):
        raise UserError("this command needs torch and transformers: pip install 't5gemma2-weights-tool[torch]'")


def run_record(args) -> None:
    need_torch()
    from .model import load_config
    from .record import write_reference
    normal = load_config(args.checkpoint)
    write_reference(args.checkpoint, normal, args.output, record_inputs(args, normal), light=args.light,
                    last_rows=args.last_rows)


def record_inputs(args, normal: dict) -> Inputs:
    """The inputs a `record` command line asks for."""
    encoder_ids = chosen_ids(args.checkpoint, args.input_ids, args.input_text)
    if encoder_ids is None:
        length = 0 if args.no_encoder_input else 16 if args.input_length is None else args.input_length
        encoder_ids = random_ids(normal, length, args.seed, args.images)
    decoder_ids = chosen_ids(args.checkpoint, args.decoder_input_ids, args.decoder_input_text)
    if decoder_ids is None:
        decoder_ids = random_ids(normal, args.decoder_length or 8, args.seed + 1)
    pixels = random_pixels(normal, args.images, args.seed) if args.images else None
    if args.pixel_values:
        pixels = read_pixels(args.pixel_values)
    prefix = decoder_ids.copy() if args.generate_from_decoder_input else args.generate_from
    return Inputs(encoder_ids, decoder_ids, pixels, prefix, args.generate)


def chosen_ids(checkpoint: Path, ids: np.ndarray | None, text: str | None) -> np.ndarray | None:
    """Given ids, or a text by the checkpoint's tokenizer.json (which puts bos in front), or nothing."""
    if text is None:
        return ids
    from tokenizers import Tokenizer
    file = checkpoint / "tokenizer.json"
    if not file.exists():
        raise UserError(f"{file}: expected a tokenizer for the given text, found nothing")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{file}: tokenizers cannot read it: {error}") from None
    return np.array([tokenizer.encode(text).ids], np.int64)


def run_random(args) -> None:
    file = args.preset or args.config
    model = config.read_preset(args.preset) if args.preset else config.read_json(args.config)
    random_checkpoint.write_random(
        model, args.output, file=file, seed=args.seed, dtype=args.dtype, spelling=args.spelling, shards=args.shards,
        untied=args.untied, text_only=args.text_only, old_keys=args.old_keys, force=args.force)


def run_adapt(args) -> None:
    adapt.adapt(args.gemma3, args.output, tokenizer=args.tokenizer, rope_factor=args.rope_factor, dtype=args.dtype,
                eoi_token_index=args.eoi_token_index, force=args.force)


def run_fixtures(args) -> None:
    need_torch()
    fixtures.write_fixtures(args.output, args.only)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weights_tool", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (add_record, add_random, add_adapt, add_fixtures, *pocket_commands.ADD):
        add(commands)
    return parser


def main(argv=None) -> int:
    args = make_parser().parse_args(argv)
    try:
        args.run(args)
    except UserError as error:
        say(f"weights_tool: {error}")
        return 1
    except OSError as error:
        say(f"weights_tool: {error.filename or args.command}: {error.strerror or error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
