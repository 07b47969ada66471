"""`weights_tool record`: its flags, and the inputs that they ask for."""
import argparse
from pathlib import Path

import numpy as np

from .flags import add_command, add_model, count, id_list, positive, utf8
from .inputs import Inputs, random_ids, random_pixels, read_pixels
from .need import need


def add_record(commands) -> None:
    parser = add_command(commands, "record", "transformers' activations of a checkpoint folder",
                         'examples/pocket -p "sort: ox cat" -n 9 -o out.safetensors',
                         "examples/pocket --image examples/inputs/shapes.png -p describe -o out.safetensors")
    add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the reference.safetensors to write")
    add_encoder_input(parser)
    add_decoder_input(parser)
    parser.add_argument("--seed", type=count, default=0, help="of the random ids and pictures")
    parser.add_argument("--light", action="store_true", help="only layers, final norms, embeddings, head and logits")
    parser.add_argument("--last-rows", type=positive, metavar="N", help="store the last N rows of longer tensors")
    parser.add_argument("--truth", action="store_true", help="also what float64 gives, as truth.NAME")
    parser.set_defaults(run=run_record)


def add_encoder_input(parser: argparse.ArgumentParser) -> None:
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument("--input-ids", type=id_list, metavar="2,5,7", help="encoder input, image tokens included")
    encoder.add_argument("--input-text", "-p", "--prompt", type=utf8, metavar="TEXT",
                         help="encoder input, by the checkpoint's tokenizer.json")
    encoder.add_argument("--input-length", type=count, metavar="N", help="N random ids, bos first (default 16)")
    encoder.add_argument("--no-encoder-input", action="store_true", help="n = 0")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--image", type=Path, action="append", default=[], metavar="FILE",
                          help="picture for the <start_of_image> in the text; repeatable")
    pictures.add_argument("--pixel-values", type=Path, metavar="FILE",
                          help="the same from float32 [images, 3, size, size] in -1..1, .npy or .safetensors")
    pictures.add_argument("--images", type=random_pictures, default=0, metavar="K", help="the same with K random pictures")


def add_decoder_input(parser: argparse.ArgumentParser) -> None:
    decoder = parser.add_mutually_exclusive_group()
    decoder.add_argument("--decoder-input-ids", type=id_list, metavar="2,5,7")
    decoder.add_argument("--decoder-input-text", "--decoder-prompt", type=utf8, metavar="TEXT")
    decoder.add_argument("--decoder-length", type=positive, metavar="M", help="M random ids, bos first (default 8)")
    parser.add_argument("--generate", "-n", "--n-predict", type=count, default=0, metavar="N",
                        help="N greedy tokens, eos not stopping")
    prefix = parser.add_mutually_exclusive_group()
    prefix.add_argument("--generate-from", type=id_list, metavar="2,5,7", help="decoder prefix, bos included")
    prefix.add_argument("--generate-from-decoder-input", action="store_true", help="the decoder input is the prefix")


def random_pictures(text: str) -> int:
    try:
        return count(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; a file is --image FILE") from None


def run_record(args) -> None:
    need("torch", "transformers", "tokenizers", "PIL")
    from .model import load_config
    from .record import write_reference
    folder = Path(args.model)
    normal = load_config(folder)
    write_reference(folder, normal, args.output, record_inputs(args, normal), light=args.light, last_rows=args.last_rows,
                    truth=args.truth)


def record_inputs(args, normal: dict) -> Inputs:
    """The inputs a `record` command line asks for."""
    pixels = pixel_values(args, normal)
    decoder_ids = decoder_input_ids(args, normal)
    prefix = decoder_ids.copy() if args.generate_from_decoder_input else args.generate_from
    return Inputs(encoder_input_ids(args, normal, 0 if pixels is None else len(pixels)), decoder_ids, pixels, prefix,
                  args.generate)


def pixel_values(args, normal: dict) -> np.ndarray | None:
    if args.image:
        from .images import read_images
        return read_images(args.image, normal)
    if args.pixel_values:
        return read_pixels(args.pixel_values)
    return random_pixels(normal, args.images, args.seed) if args.images else None


def encoder_input_ids(args, normal: dict, images: int) -> np.ndarray:
    """As given, or by the text, or random; pictures from files and nothing else are a prompt without text."""
    from .prompt import encode_prompt, read_tokenizer
    if args.input_ids is not None:
        return args.input_ids
    alone = images and not args.images and args.input_length is None and not args.no_encoder_input
    if args.input_text is not None or alone:
        return encode_prompt(read_tokenizer(Path(args.model)), normal, args.input_text or "", images)
    length = 0 if args.no_encoder_input else 16 if args.input_length is None else args.input_length
    return random_ids(normal, length, args.seed, images)


def decoder_input_ids(args, normal: dict) -> np.ndarray:
    from .prompt import encode_text, read_tokenizer
    if args.decoder_input_ids is not None:
        return args.decoder_input_ids
    if args.decoder_input_text is not None:
        return encode_text(read_tokenizer(Path(args.model)), args.decoder_input_text)
    return random_ids(normal, args.decoder_length or 8, args.seed + 1)
