"""Image files as the engine reads them: upright, on white where transparent, resized, -1 to 1.

All but reading is transformers' Gemma3ImageProcessor (PIL). The engine differs from Pillow in one thing: 16-bit grey
is shifted to 8 bits, where Pillow clips it.
"""
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from .errors import UserError, expected

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TGA")  # what the engine reads (Pillow's PPM is all of PNM)
Image.MAX_IMAGE_PIXELS = 100_000_000                   # the engine's limit


def read_image(file: Path) -> Image.Image:
    """The first frame, upright."""
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), \
                Image.open(file, formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise UserError(f"{file}: expected an image (JPEG, PNG, BMP, GIF, PNM or TGA), found something else") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(f"{file}: expected an image of at most {Image.MAX_IMAGE_PIXELS} pixels, found more") from None
    except Exception as error:  # Pillow raises several unrelated types for damaged files
        raise UserError(f"{file}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return upright


def read_images(files: Sequence[Path], config: dict) -> np.ndarray:
    """pixel_values [images, 3, size, size] for a normalised config."""
    vision = config["encoder"]["vision_config"]
    if vision["num_channels"] != 3:
        raise expected("config.json", "encoder.vision_config.num_channels", "3 for an image file", vision["num_channels"])
    size = {"height": vision["image_size"], "width": vision["image_size"]}
    processor = Gemma3ImageProcessorPil(size=size)
    return processor(images=[read_image(file) for file in files], return_tensors="np")["pixel_values"]
