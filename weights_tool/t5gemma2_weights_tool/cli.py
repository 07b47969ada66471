"""The `weights_tool` command. Exit status: 0 done, 1 bad input (one line on standard error), 2 wrong usage."""
import argparse
import sys
from pathlib import Path

from . import adapt, config, fixtures, names, random_checkpoint
from .errors import UserError, say
from .flags import count, positive
from .need import need
from .pocket import commands as pocket_commands
from .record_command import add_record
from .storage import DTYPE_BYTES


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
    need("torch", "transformers")
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
