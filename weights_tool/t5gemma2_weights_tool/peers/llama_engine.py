"""llama.cpp with the decoder alone, which without encoder input is a Gemma 3."""
import xllamacpp

from .engines import Files
from .gguf_decoder import write_gguf

CONTEXT = 4096
SURE = 1e6  # added to a logit, so that the token is taken


class LlamaModel:
    def __init__(self, files: Files, precision: str) -> None:
        self.file = files.work / f"decoder-{precision}.gguf"
        write_gguf(files.model, self.file, precision)
        self.version = f"build {xllamacpp.__version__.rpartition('.')[2]}, xllamacpp {xllamacpp.__version__}"
        self.server = None

    def set_threads(self, threads: int) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(self.file)
        params.n_ctx = CONTEXT
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self.server = None
        self.server = xllamacpp.Server(params)

    def complete(self, ids: list[int], tokens: int, **more) -> dict:
        answer = self.server.handle_completions({"prompt": ids, "n_predict": tokens, "temperature": 0,
                                                 "ignore_eos": True, **more})
        if "timings" not in answer:
            raise RuntimeError(f"expected timings, found {answer}")
        return answer

    def seconds(self, encoder_ids: list[int], decoder_ids: list[int], steps: int) -> tuple[float, float]:
        """The first token counts as reading, as everywhere."""
        timings = self.complete(decoder_ids, steps + 1, cache_prompt=False)["timings"]
        if (timings["prompt_n"], timings["predicted_n"]) != (len(decoder_ids), steps + 1):
            raise RuntimeError(f"expected {len(decoder_ids)} tokens and {steps + 1} more, found {timings}")
        return timings["prompt_ms"] / 1e3, timings["predicted_ms"] / 1e3

    def log_probabilities(self, encoder_ids: list[int], decoder_ids: list[int], last: int) -> list[float]:
        """Token by token: each is made certain by a bias, and the server tells what it was without."""
        result = []
        for end in range(len(decoder_ids) - last, len(decoder_ids)):
            answer = self.complete(decoder_ids[:end], 1, logit_bias=[[decoder_ids[end], SURE]], logprobs=1,
                                   cache_prompt=True)
            result.append(chosen(answer, decoder_ids[end]))
        return result


def chosen(answer: dict, id: int) -> float:
    probability = answer["choices"][0]["logprobs"]["content"][0]
    if probability["id"] != id:
        raise RuntimeError(f"expected token {id}, found {probability['id']}")
    return probability["logprob"]


def load(files: Files, precision: str) -> LlamaModel:
    return LlamaModel(files, precision)
