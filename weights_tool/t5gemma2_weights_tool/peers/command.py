"""`weights_tool bench-peers`: its flags, and the run."""
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from ..config import normalise, read_json, read_preset, write_json
from ..console import say
from ..errors import expected
from ..flags import add_command, positive, positive_real, whole_numbers
from ..need import need
from ..random_checkpoint import write_random
from .engines import ENGINES, OURS, REFERENCE, TEXTS, Engine, Files
from .measure import Plan, long_inputs, many_texts, measure
from .worker import Worker

RANDOM, TOKENIZER = "270m-270m", "tokenizer.json"
NAMES = tuple(dict.fromkeys(engine.name for engine in ENGINES))


def add_bench_peers(commands) -> None:
    parser = add_command(commands, "bench-peers", "our speed beside transformers, CTranslate2 and llama.cpp",
                         "--quick -o build/benchmarks.md",
                         "--figures build/peers/figures.json --long 32768,131072")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks.md"), metavar="PAGE.md",
                        help="the page to write, with a picture beside it (default docs/benchmarks.md)")
    parser.add_argument("--figures", type=Path, metavar="FIGURES.json",
                        help="measure nothing, or --long and --texts alone: the page of an earlier run")
    parser.add_argument("-m", "--model", type=Path, metavar="MODEL",
                        help=f"checkpoint folder (default: random weights of {RANDOM}, made in --work)")
    parser.add_argument("--tokenizer", type=Path, metavar=TOKENIZER,
                        help="put beside the random weights: it is loaded where whole processes are measured")
    parser.add_argument("--programs", type=Path, default=Path("build/bin"), metavar="FOLDER",
                        help="of t5gemma2-generate, -trace and -bench (default build/bin)")
    parser.add_argument("--work", type=Path, default=Path("build/peers"), metavar="FOLDER",
                        help="for weights, figures.json and logs, 6 GB (default build/peers)")
    parser.add_argument("--engines", default=",".join(NAMES), metavar="A,B",
                        help=f"default: {','.join(NAMES)}; {OURS} and transformers always run")
    parser.add_argument("--lengths", type=whole_numbers, default=(128, 512, 2048), metavar="128,512,2048",
                        help="of the input")
    parser.add_argument("--long", type=whole_numbers, default=(), metavar="32768,131072",
                        help="also inputs of these lengths, through ours alone, after the others; with --figures added to "
                             "those of the earlier run")
    parser.add_argument("--texts", type=positive, metavar="N",
                        help="also embeddings of N short texts, ours and transformers'; with --figures added, too")
    parser.add_argument("-t", "--threads", type=whole_numbers, default=(2, 1), metavar="2,1")
    parser.add_argument("--steps", type=positive, default=32, metavar="N", help="tokens that are decoded (default 32)")
    parser.add_argument("--repeats", type=positive, default=5, metavar="N", help="rounds, at most (default 5)")
    parser.add_argument("--minutes", type=positive_real, default=22, metavar="X",
                        help="begin no round that would end later (default 22)")
    parser.add_argument("--quick", action="store_true",
                        help="one round, lengths to 512, the most threads, no image: a few minutes")
    parser.set_defaults(run=run_bench_peers)


def chosen_engines(names: str) -> list[Engine]:
    """Those of these names, and always ours and the reference."""
    wanted = names.split(",")
    if unknown := set(wanted) - set(NAMES):
        raise expected("bench-peers", "--engines", f"names out of {','.join(NAMES)}", ",".join(sorted(unknown)))
    return [engine for engine in ENGINES if engine.name in wanted or engine.name == OURS or engine.key == REFERENCE]


def plan_of(args) -> Plan:
    if args.quick:
        short = tuple(length for length in args.lengths if length <= 512) or args.lengths[:1]
        return Plan(short, (max(args.threads),), args.steps, repeats=1, images=False)
    return Plan(args.lengths, args.threads, args.steps, args.repeats, images=True)


def random_model(work: Path, tokenizer: Path | None) -> Path:
    """Made once; a folder that is there is whole."""
    folder, unfinished = work / RANDOM, work / f"{RANDOM}.unfinished"
    if not folder.exists():
        write_random(read_preset(RANDOM), unfinished, file=RANDOM, dtype="bfloat16", force=True)
        unfinished.rename(folder)
    if tokenizer:
        shutil.copyfile(tokenizer, folder / TOKENIZER)
    return folder


def fresh_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run_bench_peers(args) -> None:
    from .page import write_page
    need("matplotlib", extras="peers")
    file = args.figures or args.work / "figures.json"
    known = read_json(file) if args.figures else figures(args)
    if not args.figures:
        write_json(file, known)  # kept, should what follows fail
    if (args.long or args.texts) and known["model"] != model_name(args):
        raise expected(file, "model", f"{model_name(args)}, which the other inputs go through", known["model"])
    if args.long:
        known["long"] = long_figures(args)
        write_json(file, known)
    if args.texts:
        known["many_texts"] = text_figures(args)
        write_json(file, known)
    write_page(known, args.output)
    say(f"{args.output}: written, with {args.output.with_suffix('.svg').name}")


def model_name(args) -> str:
    return f"model {args.model.name}" if args.model else f"random weights in the shapes of {RANDOM.upper()}"


def files_of(args, name: str) -> Files:
    """Those of a run whose converted weights and logs lie in a folder of this name."""
    if not (args.programs / "t5gemma2-generate").exists():
        raise expected(args.programs, "--programs", "a folder with t5gemma2-generate", "none")
    args.work.mkdir(parents=True, exist_ok=True)
    model = (args.model or random_model(args.work, args.tokenizer)).resolve()
    return Files(model, args.programs.resolve(), fresh_folder(args.work.resolve() / name))


def config_of(files: Files) -> dict:
    return normalise(read_json(files.model / "config.json"), files.model / "config.json")


def long_figures(args) -> list[dict]:
    files, ours_first = files_of(args, "long"), next(engine for engine in ENGINES if engine.name == OURS)
    with Worker(ours_first, files) as ours:
        return long_inputs(ours, args.long, max(args.threads), config_of(files))


def text_figures(args) -> dict:
    files = files_of(args, "texts")
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(engine, files)) for engine in ENGINES if engine.key in TEXTS]
        return many_texts(workers, args.texts, max(args.threads), config_of(files))


def figures(args) -> dict:
    """Everything measured but long inputs."""
    started, busy = time.monotonic(), os.getloadavg()[0]
    plan, engines = plan_of(args), chosen_engines(args.engines)
    need(*dict.fromkeys(package for engine in engines for package in engine.packages), extras="peers")
    files = files_of(args, "converted")
    with ExitStack() as stack:
        workers = []
        for engine in engines:
            workers.append(stack.enter_context(Worker(engine, files)))
            say(f"{engine.key}: {workers[-1].version}, loaded {time.monotonic() - started:.0f} s after the start")
        known = measure(workers, plan, config_of(files), started + 60 * args.minutes)
    return {"model": model_name(args), "tokenizer": (files.model / TOKENIZER).exists(), "busy": busy, **known}
