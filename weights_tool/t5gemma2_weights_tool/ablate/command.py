"""`weights_tool ablate`: the paper's ablations at the pocket model's size."""
import os
import signal
from pathlib import Path

from ..console import say
from ..flags import add_command, positive, positive_real
from ..need import need

SMOKE, SMOKE_ITEMS, ITEMS = "smoke", 2, 100


def add_ablate(commands) -> None:
    parser = add_command(commands, "ablate", "the paper's ablations at the pocket model's size: trained, measured, reported",
                         "-o ablation --minutes 300",
                         "-o ablation --seeds 3 --variants base,untied")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER",
                        help="ablation.json, README.md and its plots; the same command goes on after a stop")
    parser.add_argument("--variants", metavar="A,B", help="of base, untied, split, global-cross, decoder-only, no-ul2, from-scratch (default: all)")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="the recipe's, and N - 1 after it")
    parser.add_argument("--minutes", type=positive_real, metavar="M",
                        help="as many steps as these variants and seeds train in M minutes in all; measuring comes on top; "
                             "kept for what is added later")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--recipe", metavar="NAME|FILE", help="sizes and stages: ablate (default), pocket, or a file")
    source.add_argument("--smoke", dest="recipe", action="store_const", const=SMOKE,
                        help="everything once, far too short to learn, for tests")
    parser.add_argument("-n", type=positive, metavar="N", help=f"held-out items of each kind (default {ITEMS})")
    parser.add_argument("--workers", type=positive, default=min(2, os.cpu_count() or 1), metavar="N",
                        help="processes that share each batch (default: 2, or 1 on a single core)")
    parser.set_defaults(run=run_ablate)


def run_ablate(args) -> None:
    need("torch", "transformers", "PIL", "matplotlib", extras="torch,pocket")
    from ..pocket.files import locked
    from ..pocket.signals import handled
    from .plan import Asked, planned
    from .report import write_report
    from .variants import VARIANTS, named
    variants = named([name.strip() for name in args.variants.split(",")] if args.variants else list(VARIANTS))
    with locked(args.output, "at work"), handled(signal.default_int_handler, signal.SIGTERM):
        recipe = planned(Asked(args.recipe, args.minutes), args.output, variants, args.seeds, args.workers)
        items = args.n or (SMOKE_ITEMS if recipe.name == SMOKE else ITEMS)
        runs = [(variant, recipe.seed + i) for i in range(args.seeds) for variant in variants]
        try:
            for number, (variant, seed) in enumerate(runs, 1):
                say(f"{number} of {len(runs)}: {variant.name} ({variant.what}), seed {seed}")
                train_and_measure(variant, recipe, seed, args.output, items, args.workers)
        finally:  # also where it is stopped
            write_report(args.output)


def train_and_measure(variant, recipe, seed: int, folder: Path, items: int, workers: int) -> None:
    from ..pocket.files import write_json
    from .measure import measured
    from .results import RESULT, read_result, score
    from .runs import train
    file = folder / variant.name / f"seed-{seed}" / RESULT
    if file.exists() and read_result(file)["items"] == items:
        say(f"{file}: measured already")
        return
    run = train(variant, recipe, seed, folder, workers)
    result = measured(run, items)
    write_json(file, result)
    run.tidy()
    say(f"{variant.name}, seed {seed}: score {score(result):.1f}")
