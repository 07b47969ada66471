"""The pocket model's commands: items and tokenizer, train and export, evaluate and report."""
import os
from pathlib import Path

from ..console import say
from ..errors import expected
from ..flags import add_command, add_model, count, positive, positive_real, whole_numbers
from ..need import need
from ..precision import PRECISIONS
from . import items
from .recipe import STAGES, read_recipe

ALL = "torch,pocket"  # extras that learning and measuring need


def add_tokenizer(commands) -> None:
    parser = add_command(commands, "tokenizer", "the pocket model's tokenizer.json and tokenizer_config.json",
                         "-o tokenizer")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    parser.set_defaults(run=run_tokenizer)


def run_tokenizer(args) -> None:
    from . import vocabulary
    say(f"{args.output}: {vocabulary.write(args.output)} pieces")


def add_items(commands) -> None:
    parser = add_command(commands, "items", "items of a task of the pocket model: prompt, answer, pictures",
                         "question -n 3 --images pictures",
                         "retrieval --kind single --length 200 --held-out --jsonl")
    parser.add_argument("task", metavar="TASK", help="caption, dates, retrieval, ...; an unknown one lists them all")
    parser.add_argument("-n", type=positive, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument("--kind", help="only items of this kind")
    parser.add_argument("--length", type=count, metavar="TOKENS",
                        help="of the prompt, at most (retrieval): from 20 (single), 30 (multi-key), 50, 70 (hops); 0: no filler")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--held-out", action="store_true", help="from the tenth that is not trained on")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="draw the pictures there")
    parser.add_argument("--jsonl", action="store_true", help="one JSON object per line")
    parser.set_defaults(run=run_items)


def run_items(args) -> None:
    if args.images:
        need("PIL", extras="pocket")
    from . import listing
    listing.print_items(args.task, args.n, kind=args.kind, length=args.length, seed=args.seed, held_out=args.held_out,
                        images=args.images, jsonl=args.jsonl)


def add_train(commands) -> None:
    parser = add_command(commands, "train", "the pocket model from nothing; the same command goes on after a stop",
                         "-o training",
                         "-o training --recipe smoke")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoints, losses and the model")
    parser.add_argument("--recipe", default="pocket", metavar="NAME|FILE",
                        help="sizes, seed and stages: pocket (default), smoke, or a file")
    parser.add_argument("--stage", choices=STAGES, default=STAGES[-1],
                        help="stop after this one (default: the last)")
    parser.add_argument("--steps-scale", type=positive_real, default=1, metavar="X", help="X times the steps of each stage")
    parser.add_argument("--workers", type=positive, default=min(2, os.cpu_count() or 1), metavar="N",
                        help="processes that share each batch (default: 2, or 1 on a single core)")
    parser.set_defaults(run=run_train)


def run_train(args) -> None:
    need("torch", "transformers", "PIL", extras=ALL)
    recipe = read_recipe(args.recipe)
    from .pipeline import scaled, train
    train(scaled(recipe, args.steps_scale), args.output, until=args.stage, workers=args.workers)


def add_export(commands) -> None:
    parser = add_command(commands, "export", "the newest checkpoint of a training folder as a model folder",
                         "training -o model")
    parser.add_argument("training", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=run_export)


def run_export(args) -> None:
    need("torch", "transformers", "PIL", extras=ALL)
    from .export import export
    from .pipeline import RECIPE, Run
    export(Run(read_recipe(str(args.training / RECIPE)), args.training), args.output)


def add_evaluate(commands) -> None:
    parser = add_command(commands, "evaluate", "exact match on held-out items, engine against transformers",
                         "examples/pocket --tasks dates -n 20",
                         "examples/pocket --engine build/bin/t5gemma2-generate -o evaluation.json")
    add_model(parser)
    parser.add_argument("--engine", type=Path, metavar="PROGRAM", help="t5gemma2-generate; without: transformers alone")
    parser.add_argument("--dtype", choices=PRECISIONS, default=PRECISIONS[0],
                        help="of the engine; transformers computes in float32")
    parser.add_argument("-n", type=positive, default=500, metavar="N", help="items of each kind (default 500)")
    parser.add_argument("--tasks", default=",".join(items.TASKS), metavar="A,B", help="default: all")
    parser.add_argument("--lengths", type=whole_numbers, default=(1, 2, 4, 8), metavar="1,2,4,8",
                        help="of retrieval, times the length trained on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json",
                        help="the same for programs, written group by group: the same command goes on after a stop")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args) -> None:
    need("torch", "transformers", "PIL", extras=ALL)
    from .evaluation import Evaluation
    from .results import table
    if args.dtype != PRECISIONS[0] and not args.engine:
        raise expected("evaluate", "--dtype", f"{PRECISIONS[0]} without --engine", args.dtype)
    evaluation = Evaluation(Path(args.model), engine=args.engine, dtype=args.dtype, count=args.n,
                            tasks=args.tasks.split(","), times=args.lengths, seed=args.seed)
    print(table(evaluation.run(args.output)))


def add_answers(commands) -> None:
    parser = add_command(commands, "answers", "held-out items with transformers' answers, for the test of behaviour",
                         "examples/pocket -n 2 -o answers")
    add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="items.jsonl and pictures")
    parser.add_argument("-n", type=positive, default=12, metavar="N", help="items of each task (default 12)")
    parser.add_argument("--seed", type=count, default=0)
    parser.set_defaults(run=run_answers)


def run_answers(args) -> None:
    need("torch", "transformers", "PIL", extras=ALL)
    from .behaviour import write_answers
    write_answers(Path(args.model), args.output, count=args.n, seed=args.seed)


def add_report(commands) -> None:
    parser = add_command(commands, "report", "plots and model card from a training folder and an evaluation",
                         "training evaluation.json -o docs/pocket --model training/model")
    parser.add_argument("training", type=Path)
    parser.add_argument("evaluation", type=Path, metavar="EVALUATION.json", help="written by evaluate -o")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="for the plots")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="whose card (README.md) is written")
    parser.set_defaults(run=run_report)


def run_report(args) -> None:
    need("matplotlib", extras="pocket")
    from .report import report
    report(args.training, args.evaluation, output=args.output, model=args.model)


ADD = (add_tokenizer, add_items, add_train, add_export, add_evaluate, add_answers, add_report)
