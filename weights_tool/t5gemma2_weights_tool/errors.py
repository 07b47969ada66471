"""The one exception a user may cause, and how it is worded."""


class UserError(Exception):
    """Bad input: printed as one line, exit status 1."""


def expected(file, field, wanted, found) -> UserError:
    """The line every bad input gets: which file, which field, what was wanted, what was there."""
    return UserError(f"{file}: {field}: expected {wanted}, found {found}")
