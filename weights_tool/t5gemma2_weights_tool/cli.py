"""The `weights_tool` command. Exit status: 0 done, 1 bad input (one line on standard error), 2 wrong usage,
130 stopped by Ctrl-C."""
import argparse
import os
import sys
from pathlib import Path

from . import adapt, config, fixtures, names, random_checkpoint
from .ablate.command import add_ablate
from .console import clear_line, complain, set_quiet
from .errors import UserError
from .flags import Parser, add_command, count, positive
from .merge import add_merge
from .need import need
from .peers.command import add_bench_peers
from .pocket import commands as pocket_commands
from .precision import add_precision
from .record_command import add_record
from .ruler.commands import add_ruler
from .storage import DTYPE_BYTES
from .usage import parse

INTERRUPTED = 130   # by Ctrl-C, as a shell has it
NOBODY_READS = 141  # as of a program that SIGPIPE ends


def add_random(commands) -> None:
    parser = add_command(commands, "random", "a random checkpoint folder from a config.json",
                         "--preset tiny -o random",
                         "examples/pocket/config.json --dtype bfloat16 --shards 2 -o random")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("config", type=Path, nargs="?", metavar="CONFIG.json")
    source.add_argument("--preset", choices=config.preset_names(),
                        help="sizes of Google's T5Gemma 2 checkpoints; tiny: our own, for tests")
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
    parser = add_command(commands, "adapt", "Gemma 3 (folder or GGUF file) -> T5Gemma 2 (paper section 3.1)",
                         "gemma-3-270m -o adapted",
                         "gemma-3-270m.gguf --tokenizer tokenizer.json --rope-factor 8 -o adapted")
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
    parser = add_command(commands, "fixtures", "the small checkpoints with references that the tests read",
                         "-o tests/data",
                         "--only basic images -o fixtures")
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


def make_parser() -> tuple[Parser, dict[str, argparse.ArgumentParser]]:
    """The command line, and that of each command."""
    parser = Parser(prog="weights_tool", description=__doc__, epilog="weights_tool COMMAND --help ends with examples.")
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (add_record, add_random, add_adapt, add_merge, add_fixtures, add_precision, *pocket_commands.ADD,
                add_ablate, add_bench_peers, add_ruler):
        add(commands)
    return parser, commands.choices


def main(argv=None) -> int:
    args = parse(*make_parser(), sys.argv[1:] if argv is None else argv)
    set_quiet(args.quiet)
    try:
        args.run(args)
    except UserError as error:
        complain(f"weights_tool: {error}")
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except OSError as error:
        complain(f"weights_tool: {error.filename or args.command}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        clear_line()
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
