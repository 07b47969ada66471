"""Text to text with one right answer: dates to ISO, numbers to words and back, sorting, counting.

A generator takes a random.Random and returns (prompt, answer, content).
"""
from datetime import date, timedelta
from random import Random

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ANIMALS = ("ant", "ape", "bat", "bear", "bee", "bird", "boar", "bull", "calf", "cat", "cow", "crab", "crow", "deer",
           "dog", "dove", "duck", "eel", "elk", "fish", "fly", "foal", "fox", "frog", "goat", "goose", "hare", "hawk",
           "hen", "horse", "kid", "lamb", "lion", "mole", "moth", "mouse", "mule", "newt", "otter", "owl", "ox", "pig",
           "pony", "pup", "ram", "rat", "seal", "shark", "sheep", "snail", "snake", "swan", "tiger", "toad", "viper",
           "wasp", "whale", "wolf", "worm", "zebra")
FIRST_DAY, DAYS_KNOWN = date(1900, 1, 1), 73_049  # to the end of 2099
DIGITS = (1, 2, 3, 4, 5)
DIGITS_WEIGHTS = (1, 4, 10, 15, 20)  # few short numbers: there are not many
MAX_COUNT = 4


def ordinal(n: int) -> str:
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


DATE_FORMATS = {
    "5 march 2024": lambda day, month: f"{day.day} {month} {day.year}",
    "march 5, 2024": lambda day, month: f"{month} {day.day}, {day.year}",
    "the 5th of march 2024": lambda day, month: f"the {ordinal(day.day)} of {month} {day.year}",
    "tuesday, 5 march 2024": lambda day, month: f"{DAYS[day.weekday()]}, {day.day} {month} {day.year}",
    "5.3.2024": lambda day, month: f"{day.day}.{day.month}.{day.year}",
}


def dated(written):
    def generate(rng: Random):
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS_KNOWN))
        return f"date: {written(day, MONTHS[day.month - 1])}", day.isoformat(), day.isoformat()
    return generate


def in_words(n: int) -> str:
    """0 to 99,999."""
    if n < 20:
        return UNITS[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{UNITS[n % 10]}" if n % 10 else "")
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    return f"{in_words(n // size)} {name}" + (f" {in_words(n % size)}" if n % size else "")


def random_number(rng: Random) -> int:
    """Of one to five digits, 0 too."""
    digits = rng.choices(DIGITS, DIGITS_WEIGHTS)[0]
    return rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def to_words(rng: Random):
    n = random_number(rng)
    return f"in words: {n}", in_words(n), str(n)


def to_digits(rng: Random):
    n = random_number(rng)
    return f"in digits: {in_words(n)}", str(n), str(n)


def sort_words(rng: Random):
    words = rng.sample(ANIMALS, rng.randint(3, 6))
    in_order = " ".join(sorted(words))
    return f"sort: {' '.join(words)}", in_order, in_order


def sort_numbers(rng: Random):
    wanted, numbers = rng.randint(3, 5), []
    while len(numbers) < wanted:
        n = rng.randrange(10 ** rng.randint(1, 3))
        if n not in numbers:
            numbers.append(n)
    in_order = " ".join(map(str, sorted(numbers)))
    return f"sort: {' '.join(map(str, numbers))}", in_order, in_order


def count_words(rng: Random):
    """0 to 4 times among up to 10 words, where others come more than once, too."""
    word, *others = rng.sample(ANIMALS, 4)
    times = rng.randint(0, MAX_COUNT)
    words = [word] * times + [rng.choice(others) for _ in range(rng.randint(max(2, 5 - times), 10 - times))]
    rng.shuffle(words)
    return f"how many times {word}: {' '.join(words)}", str(times), " ".join([word, *words])


DATES = {kind: dated(written) for kind, written in DATE_FORMATS.items()}
NUMBERS = {"to words": to_words, "to digits": to_digits}
SORTING = {"words": sort_words, "numbers": sort_numbers}
COUNTING = {"words": count_words}
