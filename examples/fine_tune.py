#!/usr/bin/env python3
"""Teaches the pocket model a task that it does not know, with peft, in about a minute, and runs the adapter in the engine.

    reverse: ox cat dog   ->   dog cat ox

    build/venv/bin/pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2
    build/venv/bin/python examples/fine_tune.py -o build/adapter

docs/fine_tune.md explains it, and what is different with Google's checkpoints.
"""
import argparse
import json
import random
import subprocess
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, T5Gemma2ForConditionalGeneration

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("ant ape bat bear bee bird boar bull calf cat cow crab crow deer dog dove duck eel elk fish fly foal fox frog "
         "goat goose hare hawk hen horse kid lamb lion mole moth mouse mule newt otter owl ox pig pony pup ram rat "
         "seal shark sheep snail snake swan tiger toad viper wasp whale wolf worm zebra").split()
TARGETS = r".*(encoder\.text_model|decoder)\..*_proj|lm_head\.out_proj"  # not SigLIP's
IGNORED = -100  # labels that the loss leaves out


def item(rng: random.Random) -> tuple[str, str]:
    """A prompt and its answer, of two to five different words."""
    words = rng.sample(WORDS, rng.randint(2, 5))
    return f"reverse: {' '.join(words)}", " ".join(reversed(words))


def batch_of(items: list[tuple[str, str]], tokenizer) -> dict[str, torch.Tensor]:
    """Prompts with <bos>, answers with <eos>. transformers puts <bos> in front of the labels to make the decoder's input."""
    prompts, answers = zip(*items)
    batch = dict(tokenizer(list(prompts), padding=True, return_tensors="pt"))
    rows = [tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for answer in answers]
    longest = max(map(len, rows))
    batch["labels"] = torch.tensor([row + [IGNORED] * (longest - len(row)) for row in rows])
    return batch


def train(model, tokenizer, steps: int, rng: random.Random) -> None:
    """AdamW, and a learning rate that falls to zero at the end."""
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=4e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    begun = time.monotonic()
    for step in range(1, steps + 1):
        loss = model(**batch_of([item(rng) for _ in range(64)], tokenizer)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 25 == 0:
            print(f"step {step} of {steps}, {time.monotonic() - begun:.0f} s, loss {loss.item():.3f}", flush=True)


def accuracy(engine: Path, model: Path, items: list[tuple[str, str]], *flags: str) -> float:
    """The share of the items that the engine answers rightly."""
    lines = "".join(json.dumps({"prompt": prompt, "expected": answer}) + "\n" for prompt, answer in items)
    done = subprocess.run([engine, "-q", "-m", model, "--jsonl", *flags], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return sum(answer["text"] == answer["expected"] for answer in answers) / len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", type=Path, default=ROOT / "examples/pocket")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the adapter's folder")
    parser.add_argument("--steps", type=int, default=100, help="of training, 64 items each (default 100)")
    parser.add_argument("--engine", type=Path, default=ROOT / "build/bin/t5gemma2-generate")
    args = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = T5Gemma2ForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS))
    model.print_trainable_parameters()
    train(model, tokenizer, args.steps, random.Random(1))
    model.save_pretrained(args.output)
    held_out = [item(random.Random(f"test {number}")) for number in range(200)]
    before = accuracy(args.engine, args.model, held_out)
    after = accuracy(args.engine, args.model, held_out, "--lora", str(args.output))
    print(f"right answers of {len(held_out)}: {100 * before:.1f} % before, {100 * after:.1f} % with --lora {args.output}")


if __name__ == "__main__":
    main()
