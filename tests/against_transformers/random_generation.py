"""Random generation_config.json files, of all that can stand there but sampling."""

import random


def generation_config(rng: random.Random, likely: list[int], vocab_size: int) -> dict:
    """Ids are mostly `likely` ones, so that the rules have something to do."""

    def one() -> int:
        return rng.choice(likely) if rng.random() < 0.7 else rng.randrange(3, vocab_size)

    def some(least: int, most: int) -> list[int]:
        return [one() for _ in range(rng.randint(least, most))]

    fields = {
        "decoder_start_token_id": (0.15, one),
        "forced_bos_token_id": (0.15, one),
        "forced_eos_token_id": (0.15, lambda: 1),
        "max_new_tokens": (0.7, lambda: rng.randint(1, 20)),
        "max_length": (0.3, lambda: rng.randint(8, 24)),
        "min_length": (0.2, lambda: rng.randint(1, 12)),
        "min_new_tokens": (0.2, lambda: rng.randint(0, 10)),
        "no_repeat_ngram_size": (0.25, lambda: rng.randint(1, 4)),
        "encoder_no_repeat_ngram_size": (0.25, lambda: rng.randint(1, 3)),
        "bad_words_ids": (0.25, lambda: [some(1, 3) for _ in range(rng.randint(1, 5))]),
        "suppress_tokens": (0.2, lambda: some(0, 4)),
        "begin_suppress_tokens": (0.2, lambda: some(0, 4)),
        "sequence_bias": (0.25, lambda: [[some(1, 3), rng.uniform(-5, 5)] for _ in range(rng.randint(1, 5))]),
        "repetition_penalty": (0.25, lambda: rng.uniform(0.7, 2)),
        "encoder_repetition_penalty": (0.25, lambda: rng.uniform(0.7, 2)),
        "renormalize_logits": (0.15, lambda: True),
        "exponential_decay_length_penalty": (0.2, lambda: [rng.randint(0, 6), rng.uniform(0.4, 1.6)]),
        "temperature": (0.1, lambda: rng.uniform(0.5, 2)),  # this one and the next without effect: nothing is drawn
        "top_k": (0.1, lambda: rng.randint(1, 9)),
        "num_beams": (0.6, lambda: rng.randint(2, 5)),
    }
    config = {"bos_token_id": 2, "eos_token_id": rng.choice([1, one(), [1, one()], [one(), one(), 1]]), "pad_token_id": 0}
    config |= {name: make() for name, (probability, make) in fields.items() if rng.random() < probability}
    if not config.keys() & {"max_new_tokens", "max_length"}:
        config["max_new_tokens"] = 17
    if beams := config.get("num_beams"):
        config["length_penalty"] = rng.choice([0.0, 1.0, rng.uniform(-2, 3)])
        config["early_stopping"] = rng.choice([True, False, "never"])
        config["num_return_sequences"] = rng.randint(1, beams)
    return config
