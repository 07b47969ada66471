"""Whether what was made now is what stands there: text and whole numbers exactly, decimals to 1e-3 relative."""
import re
from itertools import zip_longest

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
TOLERANCE = 1e-3


def last_digit(number: str) -> float:
    """What one unit of the last printed digit is worth: 0.01 for 1.25."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def digits(number: str) -> int:
    """Significant digits: 4 of -0.01234e5."""
    return len(number.partition("e")[0].lstrip("-0.").replace(".", ""))


def same_number(a: str, b: str) -> bool:
    if "." not in a + b and "e" not in a + b:
        return int(a) == int(b)
    bound = TOLERANCE * max(abs(float(a)), abs(float(b)))
    if min(digits(a), digits(b)) >= 4:  # of fewer, one more is another number: 6.5 and 6.6
        bound = max(bound, 1.01 * max(last_digit(a), last_digit(b)))
    return abs(float(a) - float(b)) <= bound


def same_line(a: str, b: str) -> bool:
    if NUMBER.sub("0", a) != NUMBER.sub("0", b):
        return False
    return all(map(same_number, NUMBER.findall(a), NUMBER.findall(b)))


def differences(stands: str, made: str, where: str) -> list[str]:
    """One message for each line that differs: file and line, what stands there, what was made."""
    pairs = zip_longest(stands.splitlines(), made.splitlines(), fillvalue="(no line)")
    return [f"{where}:{number}\n  stands there: {a}\n  made now:     {b}"
            for number, (a, b) in enumerate(pairs, 1) if not same_line(a, b)]
