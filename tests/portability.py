"""What reading the source can say about CuPy: names, keywords, and where NumPy is called directly.

Each check takes the text of a module and yields (line, what is wrong).
"""

import ast
import inspect

import cupy
import numpy as np

UFUNC_KEYWORDS = {"out", "dtype", "casting"}  # of CuPy's: there is no where=
NO_ARRAYS = ("random", "errstate", "iinfo", "finfo")  # of NumPy, and of no device


def xp_names(text):
    """Every name taken from an array module (xp.NAME, get_xp(x).NAME) exists in NumPy and in CuPy,
    and every call fits CuPy's signature."""
    for node in ast.walk(ast.parse(text)):
        call, name = node if isinstance(node, ast.Call) else None, None
        if call is not None:
            name = _xp_name(call.func)
        elif isinstance(node, ast.Attribute):
            name = _xp_name(node)
        if name is None:
            continue
        missing = [module.__name__ for module in (np, cupy) if not hasattr(module, name)]
        if missing:
            yield node.lineno, f"{' and '.join(missing)} has no {name}"
        elif call is not None:
            fault = _does_not_bind(getattr(cupy, name), call)
            if fault:
                yield node.lineno, f"cupy.{name}: {fault}"


def direct_calls(text, functions=None):
    """NumPy is called by its own name only for what is on the host: in __init__, where parameters
    begin; in a function with an `rng`, which draws there (what else it does, only the stand-in
    sees); where `xp is np`; and for types and random numbers."""
    for function in _functions(ast.parse(text)):
        arguments = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
        if function.name == "__init__" or "rng" in arguments or (
                functions and function.name not in functions):
            continue
        for node in _own_nodes(function):
            name = _np_name(node.func) if isinstance(node, ast.Call) else None
            if name and name.split(".")[0] not in NO_ARRAYS and not _is_type(name):
                yield node.lineno, f"np.{name} in {function.name}: an array may be on the GPU"


def ufunc_where(text):
    """No call of a ufunc has where=, by whatever name its module goes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and \
                isinstance(getattr(np, node.func.attr, None), np.ufunc) and \
                any(keyword.arg == "where" for keyword in node.keywords):
            yield node.lineno, f"{node.func.attr}(where=): CuPy's ufuncs have none"


def faults(path, checks):
    """["file:line: what is wrong"] of the module at `path`."""
    text = path.read_text()
    return sorted({f"{path}:{line}: {fault}" for check in checks for line, fault in check(text)})


def _xp_name(node):
    """NAME of xp.NAME and get_xp(x).NAME."""
    if not isinstance(node, ast.Attribute):
        return None
    module = node.value
    by_call = isinstance(module, ast.Call) and getattr(module.func, "id", None) == "get_xp"
    return node.attr if by_call or getattr(module, "id", None) == "xp" else None


def _np_name(node):
    """NAME.NAME of np.NAME.NAME."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed(names)) if getattr(node, "id", None) == "np" else None


def _does_not_bind(function, call):
    if any(isinstance(a, ast.Starred) for a in call.args) or None in {k.arg for k in call.keywords}:
        return None
    keywords = {keyword.arg: None for keyword in call.keywords}
    if isinstance(function, cupy.ufunc):
        strange = keywords.keys() - UFUNC_KEYWORDS
        return f"no {', '.join(sorted(strange))}" if strange else None
    try:
        inspect.signature(function).bind(*call.args, **keywords)
    except ValueError:
        return None  # compiled, without a signature
    except TypeError as error:
        return str(error)
    return None


def _is_type(name):
    found = getattr(np, name, None)
    return isinstance(found, type) and issubclass(found, np.generic)


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _own_nodes(function):
    """The nodes of a function, without those of functions inside of it, and of what is done only
    where `xp is np`."""
    open_ = list(function.body)
    while open_:
        node = open_.pop()
        if isinstance(node, ast.FunctionDef):
            continue
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, (ast.If, ast.IfExp)) and ast.unparse(node.test).endswith(" is np"):
            only_there = node.body if isinstance(node.body, list) else [node.body]
            children = [child for child in children if child not in only_there]
        open_ += children
