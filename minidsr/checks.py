"""What arguments must be: each check raises ValueError in one line, with what is allowed."""

from difflib import get_close_matches
from sys import float_info


def check_choice(name, value, choices, error=ValueError):
    """Raise `error`, with the choices, and the nearest of them, where `value` is none of them."""
    if value not in tuple(choices):
        near = get_close_matches(str(value), map(str, choices), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise error(f"unknown {name} {value!r}; {hint}choose one of: "
                    f"{', '.join(map(str, choices))}")


def check_range(name, number, most=float_info.max):
    """Raise ValueError unless `number` is within [0, most], and finite."""
    if not 0 <= number <= most:
        allowed = "0 or more, and finite" if most == float_info.max else f"in [0, {most}]"
        raise ValueError(f"{name} must be {allowed}, not {number}")
