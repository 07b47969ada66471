#!/usr/bin/env python3
"""Makes this folder: small images of every kind, and the pixels that transformers gives the model for each.

    *.png, *.jpg, ...    the images
    expected.safetensors one uint8 tensor [8, 8, 3] for each file, and pixel_values of one of them in float32
    pan_and_scan.json    sizes, and the rectangles [left, top, width, height] of their crops

The expected pixels are processor(images=ImageOps.exif_transpose(Image.open(file))) with the PIL backend of Gemma 3's
processor, before the scaling to -1 .. 1. Two exceptions, where PIL does not follow the PNG specification: 16-bit grey
is v >> 8 (PIL clips at 255), and a transparent colour of 16-bit RGB or 2-bit grey is compared at the file's depth.

Needs: pip install transformers==5.23.0 pillow==13.0.0 numpy safetensors torch. Run: python make.py
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

FOLDER = Path(__file__).parent
SIZE = 8
PAN_AND_SCAN = {
    "pan_and_scan_min_crop_size": 256,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
random = np.random.default_rng(2)


def picture(width: int, height: int, channels: int) -> np.ndarray:
    """Smooth waves, other ones in each channel, with a few specks."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 100 * np.sin((0.1 + 0.07 * c) * x + (0.23 - 0.05 * c) * y + c) for c in range(channels)]
    specks = random.integers(-27, 28, (height, width, channels)) * (random.random((height, width, 1)) < 0.1)
    return (np.stack(waves, -1) + specks).astype(np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples: np.ndarray, depth: int, colour: int, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG file of samples [height, width, channels], for the kinds that PIL does not write."""

    def lines(part: np.ndarray) -> bytes:
        rows = part.reshape(part.shape[0], -1, 1)
        bits = (rows >> np.arange(depth - 1, -1, -1)) & 1
        packed = [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]
        return b"".join(b"\0" + row for row in packed)

    parts = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7] if interlaced else [samples]
    data = b"".join(lines(part) for part in parts if part.size)
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int, big_endian: bool) -> bytes:
    order = ">" if big_endian else "<"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return (b"MM\0*" if big_endian else b"II*\0") + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def png_files() -> dict[str, bytes]:
    grey = Image.fromarray(picture(40, 30, 1)[..., 0])
    rgb = Image.fromarray(picture(30, 23, 3))
    rgba = Image.fromarray(picture(19, 27, 4), "RGBA")
    indexed = rgb.quantize(40)
    key = tuple(int(v) for v in np.asarray(rgb)[5, 5])
    files = {
        "1.png": saved(grey.convert("1"), "PNG"),
        "1_key.png": saved(grey.convert("1"), "PNG", transparency=0),
        "grey.png": saved(grey, "PNG"),
        "grey_key.png": saved(grey, "PNG", transparency=int(np.asarray(grey)[9, 9])),
        "grey_alpha.png": saved(Image.fromarray(picture(9, 11, 2), "LA"), "PNG"),
        "palette.png": saved(indexed, "PNG"),
        "palette_one.png": saved(indexed, "PNG", transparency=3),
        "palette_alpha.png": saved(indexed, "PNG", transparency=bytes(range(0, 240, 6))),
        "palette_rgba.png": saved(rgba.quantize(30), "PNG"),
        "rgb.png": saved(rgb, "PNG"),
        "rgb_key.png": saved(rgb, "PNG", transparency=key),
        "rgba.png": saved(rgba, "PNG"),
        "rgb_16_bit.png": png(picture(12, 9, 3).astype(int) * 257 - 99, 16, 2),
        "rgba_16_bit_interlaced.png": png(picture(11, 6, 4).astype(int) * 256 + 77, 16, 6, interlaced=True),
        "grey_2_bit_interlaced.png": png(picture(21, 5, 1).astype(int) >> 6, 2, 0, interlaced=True),
        "rgb_interlaced.png": png(picture(13, 22, 3).astype(int), 8, 2, interlaced=True),
        "palette_too_short.png": png(
            picture(9, 9, 1).astype(int) >> 4, 8, 3, chunk(b"PLTE", bytes(range(30))) + chunk(b"tRNS", b"\x80\xff\x40")
        ),
    }
    for width, height in [(1, 1), (3, 2), (1, 300), (300, 1), (3, 90), (90, 20), (8, 8), (9, 120)]:
        files[f"{width}x{height}.png"] = saved(Image.fromarray(picture(width, height, 3)), "PNG")
    for orientation in range(10):
        raw = png(picture(7, 5, 3).astype(int), 8, 2, chunk(b"eXIf", exif(orientation, orientation % 2 == 0)))
        files[f"orientation_{orientation}.png"] = raw
    return files


def other_files() -> dict[str, bytes]:
    rgb = Image.fromarray(picture(48, 37, 3))
    rgba = Image.fromarray(picture(13, 10, 4), "RGBA")
    indexed = rgb.resize((15, 12)).quantize(20)
    turned = b"Exif\0\0" + exif(6, True)
    small = rgb.crop((20, 0, 28, 8))  # of the size in the tensors: nothing is hidden by resizing
    wide_pnm = (np.asarray(rgba)[..., :3].astype(int) * 4).astype(">u2")
    return {
        "rgb.jpg": saved(rgb, "JPEG"),
        "grey.jpg": saved(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True, subsampling=0),
        "8x8_422.jpg": saved(small, "JPEG", subsampling="4:2:2", quality=95),
        "8x8_420.jpg": saved(small, "JPEG", subsampling="4:2:0", quality=95),
        "restarts.jpg": saved(rgb, "JPEG", restart_marker_blocks=2),
        "adobe_rgb.jpg": saved(rgb, "JPEG", keep_rgb=True),
        "turned.jpg": saved(rgb, "JPEG", exif=turned),
        "turned_little_endian.jpg": saved(rgb, "JPEG", exif=b"Exif\0\0" + exif(3, False)),
        "palette.gif": saved(indexed, "GIF"),
        "transparent.gif": saved(indexed, "GIF", transparency=4, background=2),
        "animated.gif": saved(indexed, "GIF", save_all=True, append_images=[indexed.rotate(180)]),
        "rgb.bmp": saved(rgba.convert("RGB"), "BMP"),
        "palette.bmp": saved(indexed, "BMP"),
        "rgba.bmp": saved(rgba, "BMP"),
        "rgb.tga": saved(rgba.convert("RGB"), "TGA"),
        "rgba_packed.tga": saved(rgba, "TGA", compression="tga_rle"),
        "grey.tga": saved(rgba.convert("L"), "TGA"),
        "rgb.ppm": saved(rgba.convert("RGB"), "PPM"),
        "grey.pgm": saved(rgba.convert("L"), "PPM"),
        "up_to_85.pgm": b"P5 # a comment\n13 10\n85\n" + bytes(v // 3 for v in rgba.convert("L").tobytes()),
        "up_to_1020.ppm": b"P6\n13 10\n1020\n" + wide_pnm.tobytes(),
    }


def model_pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """pixel_values [3, SIZE, SIZE] of the processor, and its bytes [SIZE, SIZE, 3] before scaling."""
    processor = Gemma3ImageProcessorPil(size={"height": SIZE, "width": SIZE})
    values = processor(images=image, return_tensors="np")["pixel_values"][0].astype(np.float32)
    return values, np.ascontiguousarray(np.rint(values * 127.5 + 127.5).astype(np.uint8).transpose(1, 2, 0))


def on_white(rgb: np.ndarray, transparent: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(transparent[..., None], 255, rgb).astype(np.uint8))


def files_against_the_specification() -> dict[str, tuple[bytes, Image.Image]]:
    """File, and the picture that it should be."""
    grey = picture(12, 9, 1).astype(int) * 257 - 99
    wide = picture(10, 8, 3).astype(int) * 257
    key = wide[3, 4]
    few = picture(12, 9, 1).astype(int) >> 6
    two_bytes = lambda values: b"".join(struct.pack(">H", int(v)) for v in values)
    return {
        "grey_16_bit.png": (png(grey, 16, 0), Image.fromarray((grey[..., 0] >> 8).astype(np.uint8))),
        "rgb_16_bit_key.png": (
            png(wide, 16, 2, chunk(b"tRNS", two_bytes(key))),
            on_white(wide >> 8, (wide == key).all(-1)),
        ),
        "grey_2_bit_key.png": (
            png(few, 2, 0, chunk(b"tRNS", two_bytes([2]))),
            on_white(np.repeat(few * 85, 3, -1), few[..., 0] == 2),
        ),
    }


def crops(width: int, height: int) -> list[list[int]]:
    y, x = np.mgrid[0:height, 0:width]
    parts = Gemma3ImageProcessorPil().pan_and_scan(np.stack([x, y]), **PAN_AND_SCAN)
    return [[int(p[0].min()), int(p[1].min()), p.shape[2], p.shape[1]] for p in parts]


def main() -> None:
    expected = {}
    for name, content in (png_files() | other_files()).items():
        (FOLDER / name).write_bytes(content)
        values, pixels = model_pixels(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        expected[name] = pixels
        if name == "rgb.png":
            expected["pixel_values of rgb.png"] = values
    for name, (content, image) in files_against_the_specification().items():
        (FOLDER / name).write_bytes(content)
        expected[name] = model_pixels(image)[1]
    save_file(expected, FOLDER / "expected.safetensors")
    (FOLDER / "expected.safetensors").chmod(0o644)

    sizes = [(600, 500), (599, 500), (500, 600), (500, 599), (2000, 300), (300, 2000), (700, 256), (700, 255)]
    sizes += [(512, 256), (511, 256), (1100, 300), (3000, 1100), (256, 900), (257, 641), (1, 1000), (1000, 1000)]
    table = [{"size": size, "crops": crops(*size)} for size in sizes]
    text = ",\n".join(json.dumps(row) for row in table)
    (FOLDER / "pan_and_scan.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
