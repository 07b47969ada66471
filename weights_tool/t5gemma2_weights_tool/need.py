"""The libraries that only some commands need."""
import importlib.util

from .errors import UserError

PIP_NAMES = {"PIL": "pillow"}


def need(*modules: str, extras: str = "torch") -> None:
    """Fail, and say how to install, unless all `modules` are there."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"this command needs {', '.join(PIP_NAMES.get(module, module) for module in missing)}: "
                        f"pip install 't5gemma2-weights-tool[{extras}]'")
