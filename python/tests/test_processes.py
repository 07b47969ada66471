"""The model among threads, processes and signals: nothing waits forever, and every result is the same.

Run: pytest python/tests
"""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

START = """
    import os, signal, sys, threading, time
    import numpy as np
    import t5gemma2
    SORT, LONG = "sort: ox cat", [2] + [365] * 20000
"""
USABLE = """
    assert model.generate(SORT) == "cat ox"
    print("usable", flush=True)
"""
LONG_CALLS = {
    "encode": "model.encode(LONG)",
    "encode_int8": "rounded.encode(LONG)",
    "decode": "model.decode(model.encode('x'), LONG)",
    "decode_H": "model.decode(np.zeros((20000, 128), np.float32), LONG[:4000])",
    "generate": "model.generate('x', min_new_tokens=20000, max_new_tokens=20000)",
    "stream": "model.generate('x', min_new_tokens=20000, max_new_tokens=20000, stream=lambda _: None)",
    "beams": "model.generate('x', min_new_tokens=20000, max_new_tokens=20000, num_beams=4)",
    "embed": "model.embed(['ox cat'] * 200000)",
    "score": "model.score('x', [LONG])",
    "scores": "model.score('x', ['ox cat'] * 200000)",
    "weights": "[len(model.trace(LONG[:1500], only='*weights')) for _ in range(100)]",
    "trace": "dict(model.trace(LONG[:5000], LONG[:5000], only='logits'))",
    "compare": "t5gemma2.compare(model, {}, input_ids=LONG, decoder_input_ids=LONG)",
    "guess": "t5gemma2.compare(model, wrong, input_ids=LONG[:600], decoder_input_ids=LONG[:600])",
}
WRONG = """
    wrong = dict(model.trace(LONG[:600], LONG[:600]))
    noise = np.random.default_rng(0)
    for name, x in wrong.items():
        if name.endswith("up_proj"):
            wrong[name] = x + noise.normal(0, 0.01, x.shape).astype(np.float32)
"""


def command(*parts: str) -> list[str]:
    return [sys.executable, "-c", "".join(map(textwrap.dedent, (START, *parts)))]


def printed(*parts: str, timeout: int = 60) -> str:
    """What a script prints; it ends well, with nothing on standard error."""
    done = subprocess.run(command(*parts), capture_output=True, text=True, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def interrupted(script: list[str], after: float = 1.0) -> float:
    """How long a script goes on after Ctrl-C."""
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout.readline() == "begins\n", program.stderr.read()
            time.sleep(after)
            assert program.poll() is None, "it was too short"
            sent = time.monotonic()
            program.send_signal(signal.SIGINT)
            assert program.stdout.readline() == "interrupted\n", program.stderr.read()
            took = time.monotonic() - sent
            assert program.stdout.readline() == "usable\n", program.stderr.read()
            assert program.wait(60) == 0 and program.stderr.read() == ""
            return took
        finally:
            program.kill()


# ---- Ctrl-C ----

@pytest.mark.parametrize("name", LONG_CALLS)
def test_an_interrupt_ends_a_long_call(name):
    load = {"guess": WRONG, "encode_int8": "rounded = t5gemma2.load(dtype='int8', threads=2)"}.get(name, "")
    script = command("model = t5gemma2.load(threads=2)\n", load, f"""
        print("begins", flush=True)
        try:
            {LONG_CALLS[name]}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """, USABLE)
    assert interrupted(script) < 1


def test_an_interrupt_ends_a_long_call_in_a_child():
    script = command("model = t5gemma2.load(threads=2)\nmodel.encode(SORT)\n", """
        child = os.fork()
        if child:
            signal.signal(signal.SIGINT, lambda *_: os.kill(child, signal.SIGINT))
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print("begins", flush=True)
        try:
            model.encode(LONG)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """, USABLE, "os._exit(0)\n")
    assert interrupted(script) < 1


def test_an_interrupt_that_nobody_catches():
    script = command("model = t5gemma2.load()\nprint('begins', flush=True)\nmodel.encode(LONG)\n")
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "begins\n"
        time.sleep(1)
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == -signal.SIGINT
        assert program.stderr.read().endswith("KeyboardInterrupt\n")


def test_another_handler_may_raise_what_it_likes():
    assert printed("""
        model = t5gemma2.load()

        def late(*_):
            raise TimeoutError("late")
        signal.signal(signal.SIGALRM, late)
        signal.alarm(1)
        try:
            model.encode(LONG)
        except TimeoutError as error:
            print(error)
        assert model.generate(SORT) == "cat ox"
        """) == "late"


# ---- threads ----

def test_other_threads_go_on():
    """While the main thread is in one long call."""
    ticks = int(printed("""
        model = t5gemma2.load(threads=1)
        done, ticks = threading.Event(), []

        def tick():
            while not done.wait(0.005):
                ticks.append(time.monotonic())
        other = threading.Thread(target=tick)
        other.start()
        start = time.monotonic()
        model.encode(LONG[:6000])
        took = time.monotonic() - start
        done.set()
        other.join()
        gaps = np.diff([start, *ticks])
        assert gaps.max() < max(0.3, took / 4), (gaps.max(), took)
        print(len(ticks))
        """))
    assert ticks > 20


def test_a_busy_thread_does_not_slow_the_model_down():
    """The model does not wait for its turn at the interpreter again and again."""
    slower = float(printed("""
        model = t5gemma2.load(threads=1)

        def seconds():
            start = time.monotonic()
            model.generate("x", min_new_tokens=60, max_new_tokens=60)
            return time.monotonic() - start
        seconds()
        alone = min(seconds() for _ in range(3))
        done = False

        def spin():
            while not done:
                pass
        other = threading.Thread(target=spin)
        other.start()
        beside = min(seconds() for _ in range(3))
        done = True
        other.join()
        print(beside / alone)
        """))
    assert slower < 5


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_threads_share_a_model(dtype):
    assert printed(f"""
        from concurrent.futures import ThreadPoolExecutor
        image = np.arange(48 * 3, dtype=np.uint8).reshape(8, 6, 3)
        calls = [lambda m: m.encode(SORT), lambda m: m.encode(LONG[:300]), lambda m: m.embed([SORT, "in words: 12"]),
                 lambda m: m.generate("in words: 39629"), lambda m: m.generate(SORT, do_sample=True, seed=3),
                 lambda m: m.encode("x", [image]), lambda m: m.score(SORT, "cat ox"), lambda m: m.tokenize("ü 日本"),
                 lambda m: m.trace(SORT, "cat")["lm_head"], lambda m: m.weights["model.encoder.norm.weight"]]
        alone = t5gemma2.load(dtype="{dtype}", threads=2)
        right = [call(alone) for call in calls]
        shared = t5gemma2.load(dtype="{dtype}", threads=2)
        start = threading.Barrier(4)

        def work(first):
            start.wait()
            order = [*calls[first:], *calls[:first]] * 4
            return [call(shared) for call in order][-len(calls):]
        with ThreadPoolExecutor(4) as pool:
            for first, made in enumerate(pool.map(work, (5, 6, 5, 0))):
                at = (5, 6, 5, 0)[first]
                for one, other in zip(made, [*right[at:], *right[:at]], strict=True):
                    assert np.array_equal(one, other), (one, other)
        print("same")
        """) == "same"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_threads_open_the_eyes_together(dtype):
    """They are loaded when the first image comes."""
    assert printed(f"""
        from concurrent.futures import ThreadPoolExecutor
        image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        right = t5gemma2.load(dtype="{dtype}", threads=1).encode("x", [image])
        start = threading.Barrier(3)

        def work(model):
            start.wait()
            return model.encode("x", [image])
        with ThreadPoolExecutor(3) as pool:
            for _ in range(20):
                model = t5gemma2.load(dtype="{dtype}", threads=1)
                assert all(np.array_equal(H, right) for H in pool.map(work, [model] * 3))
        print("same")
        """) == "same"


def test_models_of_several_threads():
    """The number of threads is the model's own."""
    assert printed("""
        models = [t5gemma2.load(threads=threads) for threads in (1, 2, 3)]
        H = [model.encode(LONG[:200]) for model in models]
        assert all(np.array_equal(one, H[0]) for one in H)
        print("same")
        """) == "same"


# ---- torch ----

TORCH = """
    torch.set_num_threads(2)
    x = torch.ones(600, 600)
    for _ in range(5):
        x = (x @ x) / 600
"""
RESULT = """
    def result(model):
        return model.encode(LONG[:300]), model.decode(model.encode(SORT), "cat")
"""


@pytest.mark.parametrize("first", ["import torch", ""])
def test_torch_beside_it(first):
    """Each has an OpenMP of its own, or both share one."""
    pytest.importorskip("torch")
    again = "for _ in range(3):\n    assert all(map(np.array_equal, before, result(model)))\n"
    script = f"{first}\n" + "".join(map(textwrap.dedent, (START, RESULT, """
        model = t5gemma2.load(threads=2)
        before = result(model)
        import torch
        """, TORCH, again, TORCH, again, """
        assert all(map(np.array_equal, before, result(t5gemma2.load(threads=1))))
        assert torch.get_num_threads() == 2 and float(x[0, 0]) == 1
        print("same")
        """)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "same\n", ""), done


# ---- processes ----

FORKED = RESULT + """
    def tasks(model):
        counts = []
        model.generate(SORT, stream=lambda _: counts.append(len(os.listdir("/proc/self/task"))))
        return max(counts)

    def in_child(check):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            check()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
"""


@pytest.mark.parametrize("first", ["", "import torch\n" + textwrap.dedent(TORCH)])
def test_a_forked_child_computes(first):
    """On as many threads as its parent has used."""
    if first:
        pytest.importorskip("torch")
    assert printed(FORKED, """
        model = t5gemma2.load(threads=2)
        before = result(model)
        """, first, """
        def check():
            assert all(map(np.array_equal, before, result(model)))
            alone, both = tasks(t5gemma2.load(threads=1)), tasks(model)
            assert both == alone + 1, (alone, both)
            assert all(map(np.array_equal, before, result(t5gemma2.load(dtype="float32", threads=2))))
            assert model.generate(SORT) == "cat ox" and len(model.embed([SORT] * 3)) == 3
            x = t5gemma2.rms_norm(before[0], np.zeros(128, np.float32))
            assert x.shape == before[0].shape
            assert t5gemma2.compare(model, dict(model.trace(SORT, "cat")), input_ids=model.tokenize(SORT),
                                    decoder_input_ids=[2, *model.tokenize("cat")[1:]]).passed
            for call in (lambda: model.encode([5000]), lambda: model.generate(SORT, stream=lambda _: 1 / 0)):
                try:
                    call()
                except (t5gemma2.Error, ZeroDivisionError):
                    continue
                raise AssertionError("it should have failed")
        for _ in range(3):
            assert in_child(check) == 0
            assert all(map(np.array_equal, before, result(model)))
        assert in_child(lambda: (check(), in_child(check) == 0 or sys.exit(1))) == 0
        print("same")
        """, timeout=180) == "same"


def test_a_child_of_a_thread_computes():
    assert printed(FORKED, """
        model = t5gemma2.load(threads=2)
        before = result(model)

        def check():
            assert all(map(np.array_equal, before, result(model)))
        codes = []
        other = threading.Thread(target=lambda: codes.append(in_child(check)))
        other.start()
        other.join()
        assert codes == [0]
        print("same")
        """) == "same"


def test_a_child_forked_during_a_call_computes():
    """Another thread is in the middle of a call."""
    assert printed(FORKED, """
        model = t5gemma2.load(threads=2)
        before = result(model)

        def check():
            assert all(map(np.array_equal, before, result(model)))
        other = threading.Thread(target=model.encode, args=(LONG[:8000],))
        other.start()
        time.sleep(0.3)
        assert in_child(check) == 0
        other.join()
        print("same")
        """) == "same"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools(method, tmp_path):
    (tmp_path / "pool.py").write_text(textwrap.dedent(f"""
        import multiprocessing
        import numpy as np
        import t5gemma2
        model = t5gemma2.load(threads=2)
        TEXTS = ["sort: ox cat", "in words: 12", "date: march 5, 2024"]

        def work(text):
            return model.generate(text), model.embed(text)

        if __name__ == "__main__":
            right = [work(text) for text in TEXTS]
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                made = pool.map_async(work, TEXTS).get(60)
            assert all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(made, right, strict=True))
            print("same")
        """))
    done = subprocess.run([sys.executable, tmp_path / "pool.py"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "same\n", ""), done


# ---- what would end the process ----

@pytest.mark.parametrize("make", ["ids = []\nids.append(ids)", "ids = [2]\nfor _ in range(10**5):\n    ids = [ids]"])
def test_lists_of_lists_of_lists_are_no_ids(make):
    assert printed("model = t5gemma2.load()\n", make, """
        for call in (model.encode, lambda ids: t5gemma2.compare({"inputs.input_ids": ids}, {})):
            try:
                call(ids)
            except TypeError as error:
                print("expected token ids" in str(error))
        """).split() == ["True", "True"]


# ---- leaving ----

@pytest.mark.parametrize("kept", [
    "model = t5gemma2.load()", "x = t5gemma2.load().weights['model.encoder.norm.weight']",
    "H = t5gemma2.load().encode('x')", "trace = t5gemma2.load().trace('x')\nlen(trace)",
    "report = t5gemma2.compare({}, {})", "weights = t5gemma2.load().weights",
    "sys.model = t5gemma2.load()", "cycle = [t5gemma2.load()]\ncycle.append(cycle)",
    "model = t5gemma2.load()\nmodel.me = model\nmodel.generate(SORT, stream=lambda _: None)",
    "model = t5gemma2.load()\nsys.exit(0)",
    "model = t5gemma2.load(threads=2)\nmodel.encode(LONG[:200])\ndel sys.modules['t5gemma2']",
    "import atexit\nmodel = t5gemma2.load()\natexit.register(lambda: model.generate(SORT))",
    "try:\n    t5gemma2.load().encode([5000])\nexcept t5gemma2.Error as error:\n    kept = error",
    "def f():\n    model = t5gemma2.load()\n    yield model.encode('x')\nit = f()\nnext(it)"])
def test_the_interpreter_ends(kept):
    """Without a word about what it still held."""
    assert printed(kept) == ""


@pytest.mark.parametrize("call", ["model.encode(LONG)", "[model.generate(SORT) for _ in range(10**6)]"])
def test_the_interpreter_ends_beside_a_thread_that_computes(call):
    """A daemon, which nobody waits for."""
    printed(f"""
        model = t5gemma2.load()
        threading.Thread(target=lambda: {call}, daemon=True).start()
        time.sleep(1)
        """)


def test_it_may_be_imported_by_another_thread():
    """The thread that handles signals is Python's main one all the same."""
    script = [sys.executable, "-c", textwrap.dedent("""
        import atexit, threading
        models = []

        def late():
            print(models[0].generate("sort: ox cat"), flush=True)
        atexit.register(late)

        def load():
            import t5gemma2
            models.append(t5gemma2.load(threads=2))
        other = threading.Thread(target=load)
        other.start()
        other.join()
        print("begins", flush=True)
        try:
            models[0].encode([2] + [365] * 20000)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print("usable", flush=True)
        """)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "begins\n"
        time.sleep(0.5)
        sent = time.monotonic()
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "interrupted\n" and time.monotonic() - sent < 1
        assert (program.stdout.read(), program.stderr.read(), program.wait(60)) == ("usable\ncat ox\n", "", 0)


def test_handlers_of_the_end_may_wait_for_a_thread():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent("""
        import atexit, threading, time
        made = []

        def wait():
            other.join()
            print(made[0].shape)
        atexit.register(wait)
        import t5gemma2
        model = t5gemma2.load()
        other = threading.Thread(target=lambda: made.append(model.encode([2] + [365] * 10000)), daemon=True)
        other.start()
        """)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(10001, 128)\n", "")


def test_it_runs_in_optimised_and_isolated_modes():
    for flag in ("-O", "-OO", "-I", "-X dev"):
        script = "import t5gemma2; print(t5gemma2.load().generate('sort: ox cat'))"
        done = subprocess.run([sys.executable, *flag.split(), "-c", script], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ))
        assert (done.returncode, done.stdout, done.stderr) == (0, "cat ox\n", ""), done
