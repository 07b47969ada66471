"""What embed_dataset.py and answer_dataset.py share: rows from files, and a model in each worker process."""
import argparse
import os
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no reports to Ray's makers
ALONE = "RAY_ADDRESS" not in os.environ
if ALONE:
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # as is usual there: listen on 127.0.0.1 only

import pyarrow
import pyarrow.json
import ray

BATCHES = 16  # that a worker gets at once: Ray takes some hundredths of a second to hand them out
ROWS_PER_FILE = 10_000  # or more, of what is written
FOR_FILES = 1  # cores of each machine that no worker has: reading and writing would wait for one forever


def arguments(description: str, output: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, metavar="INPUT", help="a file, or a folder of files of one kind: .jsonl or "
                        ".parquet, with a text in each row, or .txt, a text a line")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help=f"a new folder, for {output}")
    parser.add_argument("--model", help="a folder or hub id that every machine has (default: the pocket model)")
    parser.add_argument("--workers", type=int, default=2, help="processes, which share the cores (default 2)")
    return parser.parse_args()


def start_ray() -> None:
    """On this machine, or in the cluster that RAY_ADDRESS names."""
    if ALONE:  # files take little time: no core is kept free for them
        ray.init(address="local", num_cpus=os.cpu_count() + FOR_FILES, include_dashboard=False)
    else:
        ray.init()


def read(path: Path) -> ray.data.Dataset:
    """Rows with all their columns: an id beside a text goes to the output with it, for rows come in any order."""
    kinds = {file.suffix for file in ([path] if path.is_file() else path.iterdir())}
    if kinds == {".jsonl"}:
        schema = pyarrow.schema([("text", pyarrow.string())])  # else texts that look like dates become dates
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        return ray.data.read_json(str(path), parse_options=options)
    if kinds == {".parquet"}:
        return ray.data.read_parquet(str(path))
    if kinds == {".txt"}:
        return ray.data.read_text(str(path))
    raise SystemExit(f"{path}: expected files of one kind, .jsonl, .parquet or .txt, found {sorted(kinds)}")


def on_workers(rows: ray.data.Dataset, worker: type, model: str | None, workers: int, batch: int) -> ray.data.Dataset:
    """Batches of rows through so many processes, each with a worker(model, threads) of its own."""
    threads = threads_of_each(workers)
    blocks = rows.repartition(target_num_rows_per_block=BATCHES * batch)  # else small files become one, for one worker
    return blocks.map_batches(worker, fn_constructor_args=(model, threads), num_cpus=threads, batch_size=batch,
                              compute=ray.data.ActorPoolStrategy(size=workers))


def threads_of_each(workers: int) -> int:
    """The most that there is a core for; a worker is on one machine."""
    machines = [int(node["Resources"].get("CPU", 0)) - FOR_FILES for node in ray.nodes() if node["Alive"]]
    for threads in range(max(machines), 0, -1):
        if workers <= sum(cores // threads for cores in machines):
            return threads
    raise SystemExit(f"--workers: there are cores for {sum(machines)}, found {workers}")
