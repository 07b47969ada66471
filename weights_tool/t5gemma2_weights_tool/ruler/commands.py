"""`weights_tool ruler`: its flags, and what they start."""
import argparse
from contextlib import nullcontext
from pathlib import Path

from ..console import say
from ..errors import expected
from ..flags import add_command, add_model, count, positive, whole_numbers
from ..need import need
from ..pocket.files import locked
from ..precision import PRECISIONS
from .item import Group, Wording
from .prompt import FORMS
from .wordings import FAMILIES, WORDINGS

LONGEST = 2**17
LENGTHS = (512, 1024, 2048, 4096)


def add_ruler(commands) -> None:
    parser = add_command(commands, "ruler", "what a model still finds in long inputs: RULER's task families",
                         "examples/pocket --engine build/bin/t5gemma2-generate --wording pocket --lengths 240,480 -o ruler",
                         "adapted --engine build/bin/t5gemma2-generate --form decoder-only --dtype bfloat16 -o ruler")
    add_model(parser)
    parser.add_argument("--engine", type=Path, metavar="PROGRAM", help="t5gemma2-generate")
    parser.add_argument("--lengths", type=whole_numbers, default=LENGTHS, metavar="512,1024",
                        help="in tokens, of everything (default: 512,1024,2048,4096; at most 131072)")
    parser.add_argument("-n", type=positive, default=20, metavar="N", help="items of each family and length (default 20)")
    parser.add_argument("--families", metavar="A,B", help="single, 'common words', ... (default: all of the wording)")
    parser.add_argument("--form", choices=FORMS, default=FORMS[0],
                        help="where the decoder begins: at the answer (default), at the question, or at the text")
    parser.add_argument("--shots", type=count, metavar="K", help="solved examples in front (default 1; pocket: 0)")
    parser.add_argument("--wording", choices=tuple(WORDINGS), default="english",
                        help="pocket: as the pocket model was trained")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--dtype", choices=PRECISIONS, default=PRECISIONS[0], help="of the engine")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER",
                        help="answers, page and plot: the same command goes on after a stop")
    parser.add_argument("--show", type=positive, metavar="N", help="print N prompts of each family and length instead")
    parser.set_defaults(run=run_ruler)


def run_ruler(args: argparse.Namespace) -> None:
    need("tokenizers")
    if args.output and not args.show:
        need("matplotlib", extras="pocket")
    from ..tokenizer import load_tokenizer
    from .fitting import Fitter
    if not args.engine and not args.show:
        raise expected("ruler", "--engine", "t5gemma2-generate (or --show)", "none")
    wording, model = WORDINGS[args.wording], Path(args.model)
    groups = groups_of(wording, args.families, args.lengths)
    shots = wording.shots if args.shots is None else args.shots
    fitter = Fitter(load_tokenizer(model), wording, args.form, shots, args.seed)
    fitter.check(groups, args.show or args.n)
    if args.show:
        show(fitter, groups, args.show)
    else:
        measure(fitter, groups, args)


def groups_of(wording: Wording, families: str | None, lengths: tuple[int, ...]) -> list[Group]:
    """Shorter ones first."""
    if max(lengths) > LONGEST:
        raise expected("ruler", "--lengths", f"at most {LONGEST}", max(lengths))
    names = [name.strip() for name in families.split(",")] if families else FAMILIES
    if unknown := set(names) - set(FAMILIES):
        raise expected("ruler", "--families", f"names out of {', '.join(FAMILIES)}", ", ".join(sorted(unknown)))
    chosen = [family for family in wording.families if family.name in names]
    if missing := [name for name in FAMILIES if name in names and name not in {family.name for family in chosen}]:
        say(f"note: wording {wording.name}: left out, as it has none: {', '.join(missing)}")
    if not chosen:
        raise expected("ruler", "--families", f"some that wording {wording.name} has", families)
    return [Group(length, family) for length in sorted(set(lengths)) for family in chosen]


def show(fitter, groups: list[Group], count: int) -> None:
    for group in groups:
        for number in range(count):
            fitted = fitter.fitted(group, number)
            encoder = "no encoder input" if fitted.prompt.encoder is None else f"encoder:\n{fitted.prompt.encoder}"
            print(f"=== {group.family.name}, {group.length} tokens, number {number}: {fitted.tokens} with "
                  f"{fitted.new_tokens} to be written\n{encoder}\n--- decoder:\n{fitted.prompt.decoder}\n--- "
                  f"{fitted.item.wanted()}\n")


def measure(fitter, groups: list[Group], args: argparse.Namespace) -> None:
    from .page import write_page
    from .results import results, table
    from .running import Run, check_folder
    if args.output:
        check_folder(args.output)
    with locked(args.output, "asking") if args.output else nullcontext():
        run = Run(fitter, groups, args.n, model=Path(args.model), engine=args.engine, dtype=args.dtype, folder=args.output)
        run.answer_all()
        if run.folder:
            write_page(run)
    print(table(results(run)))
