"""Random image files, of kinds that Pillow reads and does not write."""

import random
import struct

SAMPLINGS = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4)]  # of the first component, against the rest


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


class Bits:
    """Huffman-coded pixels: the code of the symbol with index i in a table is i, in 8 bits."""

    SYMBOLS = [[*range(7)], [0, *(16 * run + size for run in range(4) for size in range(1, 4))]]  # of DC, of AC

    def __init__(self):
        self.text = ""

    def put(self, table: int, symbol: int, bits: str = "") -> None:
        self.text += f"{self.SYMBOLS[table].index(symbol):08b}" + bits

    def put_block(self, rng: random.Random) -> None:
        """64 coefficients: a step of the mean value, and some of the others."""
        number = lambda size: format(rng.getrandbits(size), f"0{size}b") if size else ""
        mean = rng.randrange(7)
        self.put(0, mean, number(mean))
        at = 1
        while at < 60 and rng.random() < 0.6:
            run, size = rng.randrange(4), rng.randrange(1, 4)
            self.put(1, 16 * run + size, number(size))
            at += run + 1
        self.put(1, 0)  # no more of them

    def bytes(self) -> bytes:
        """Padded with ones; a zero behind each 0xFF, which is no marker."""
        text = self.text + "1" * (-len(self.text) % 8)
        return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")


def jpeg(rng: random.Random, width: int, height: int) -> bytes:
    """Baseline, of random coefficients: grey, colour or Adobe's CMYK, in any sampling, with and without restarts."""
    count = rng.choice([1, 3, 3, 3, 4])
    few_blocks = [(h, v) for h, v in SAMPLINGS if h * v + count - 1 <= 10]
    factors = [rng.choice(few_blocks)] + [(1, 1)] * (count - 1)
    across, down = (1, 1) if count == 1 else factors[0]
    restart = rng.choice([0, 0, 1, 3])

    frame = struct.pack(">BHHB", 8, height, width, count)
    frame += b"".join(bytes([i, 16 * h + v, 0]) for i, (h, v) in enumerate(factors, 1))
    file = b"\xff\xd8" + segment(0xC0, frame) + segment(0xDB, bytes([0, *rng.choices(range(1, 12), k=64)]))
    if count == 4:
        file += segment(0xEE, b"Adobe" + bytes([0, 100, 0, 0, 0, 0, rng.choice([0, 2])]))
    for table, symbols in enumerate(Bits.SYMBOLS):
        file += segment(0xC4, bytes([16 * table] + [0] * 7 + [len(symbols)] + [0] * 8 + symbols))
    file += segment(0xDD, struct.pack(">H", restart))
    file += segment(0xDA, bytes([count] + [x for i in range(1, count + 1) for x in (i, 0)] + [0, 63, 0]))

    bits = Bits()
    for unit in range(-(-width // (8 * across)) * -(-height // (8 * down))):
        if restart and unit and unit % restart == 0:
            file += bits.bytes() + bytes([0xFF, 0xD0 + (unit // restart - 1) % 8])
            bits = Bits()
        for h, v in factors if count > 1 else [(1, 1)]:
            for _ in range(h * v):
                bits.put_block(rng)
    return file + bits.bytes() + b"\xff\xd9"


MASKS = {
    16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0x8000)],
    24: [(0xFF0000, 0xFF00, 0xFF, 0)],
    32: [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0), (0, 0, 0, 0),
         (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
         (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF000000, 0xFF00, 0xFF, 0xFF0000)],
}


def run_lengths(rng: random.Random, width: int, height: int, half_bytes: bool) -> bytes:
    """Runs, single indices, moves and ends of lines, none of them outside the picture."""
    data, x, y = b"", 0, 0
    while y < height:
        left, kind = width - x, rng.randrange(8)
        if left == 0 or (kind == 0 and x > 0):
            data, x, y = data + b"\0\0", 0, y + 1
        elif kind == 1:
            right, on = rng.randrange(left), rng.randrange(min(3, height - y))
            data, x, y = data + bytes([0, 2, right, on]), x + right, y + on
        elif kind < 5 and left >= 3:
            count = rng.randint(3, min(left, 255))
            indices = rng.randbytes((count + 1) // 2 if half_bytes else count)
            data, x = data + bytes([0, count]) + indices + bytes(len(indices) % 2), x + count
        else:
            count = rng.randint(1, min(left, 255))
            data, x = data + bytes([count]) + rng.randbytes(1), x + count
    return data + b"\0\1"


def bmp(rng: random.Random, width: int, height: int) -> bytes:
    """Any header, depth and masks, plain or in run lengths, from below or from above."""
    size, depth = rng.choice([12, 40, 40, 52, 56, 64, 108, 124]), rng.choice([1, 4, 8, 16, 24, 32])
    compression, masks, colours = 0, b"", 0
    if size > 12 and depth in (4, 8):
        compression = rng.choice([0, 0, 1 if depth == 8 else 2])
    if size not in (12, 64) and depth > 8 and rng.random() < 0.6:
        compression = 3
        alpha = depth == 32 and size >= 56
        masks = struct.pack("<4I", *rng.choice([m for m in MASKS[depth] if alpha or depth == 16 or m[3] == 0]))
    if depth <= 8:
        colours = 1 << depth if size == 12 else rng.randint(1, 1 << depth)
    palette = rng.randbytes(colours * (3 if size == 12 else 4))
    line = (width * depth + 31) // 32 * 4
    packed = compression in (1, 2)
    pixels = run_lengths(rng, width, height, depth == 4) if packed else rng.randbytes(line * height)

    if size == 12:
        header = struct.pack("<IHHHH", size, width, height, 1, depth)
    else:
        rows = rng.choice([height, -height])
        header = struct.pack("<IiiHHIIiiII", size, width, rows, 1, depth, compression, len(pixels), 0, 0, colours, 0)
        header = (header + masks[: 12 if size == 40 else size - 40]).ljust(size, b"\0")
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(pixels), 0, start) + header + palette + pixels
