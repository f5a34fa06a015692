"""How complete are the properties? Solutions are changed in every small way, and judged.

    python -m lessons.grader.mutants 7             a lesson, or an exercise: what no property sees

A mutant is the solution, or a helper of it whose name begins with _, with one change: another
comparison or operator; a number one more or less; True for False; max for min and the like; two
arguments, or the factors of `@`, exchanged; .T or a keyword left out; a condition that is always or
never so; a line left out; a slice without one of its ends. Checks of arguments stay as they are;
`strict=`, which is one, goes.

Mutants run in a process of their own, as a learner's function does: what does not end is killed.
tests/README.md has the table. Exit code 1 where less than 95 % are killed.
"""

import ast
import copy
import inspect
import sys
import textwrap
from functools import cache, partial

from minidsr.proof.remote import Remote
from minidsr.run.report import table

from .exercise import LESSONS, find
from .judge import first_failure, through
from .words import say

OTHER = {  # of an operator the others that it becomes
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,), ast.Mult: (ast.Add,), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.Mult,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,), ast.Or: (ast.And,)}
NAMES = {"min": "max", "any": "all", "floor": "ceil", "argmax": "argmin", "sum": "max",
         "zeros": "ones", "setdiff1d": "union1d"}
NAMES |= {other: name for name, other in NAMES.items() if other not in NAMES}


def mutants(function):
    """[(what is changed, in words; the module's text with that change)]."""
    trees = _sources(function)
    found = []
    for n, tree in enumerate(trees):
        for i, node in enumerate(ast.walk(tree)):
            for new in _changes(node):
                changed = _Replace(i, new).of(tree)
                ast.fix_missing_locations(changed)
                words = f"{_short(node)}  ->  {_short(new)}"
                texts = [ast.unparse(t) for t in (*trees[:n], changed, *trees[n + 1:])]
                if ast.unparse(changed) != ast.unparse(tree):
                    found.append((words, "\n\n".join(texts)))
    return found


def survivors(exercise, call=None, examples=150):
    """What is changed in the mutants that are judged to be right. call(k, *case) runs mutant k,
    here without it."""
    call = call or partial(mutated, None, exercise.number)
    found = []
    for k, (words, _) in enumerate(mutants(exercise.solution)):
        if first_failure(exercise, partial(call, k), examples=examples)[0] is None:
            found.append(words)
    return found


def mutated(_, number, k, *case):
    """What mutant k of an exercise's solution returns. It runs in a process of its own."""
    return _compiled(number, k)(*case)


@cache
def _compiled(number, k):
    (exercise,) = find(number)
    function = exercise.solution
    module = dict(vars(sys.modules[function.__module__]))
    exec(mutants(function)[k][1], module)
    return through(exercise, module[function.__name__])


def _sources(function):
    """The trees of a function and of the helpers it calls."""
    module, trees, names = vars(sys.modules[function.__module__]), [], [function.__name__]
    for name in names:
        tree = ast.parse(textwrap.dedent(inspect.getsource(module[name]))).body[0]
        tree.body = tree.body[ast.get_docstring(tree) is not None:]
        tree.returns = None
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                node.annotation = None
            if isinstance(node, ast.Call):
                node.keywords = [k for k in node.keywords if k.arg != "strict"]
        trees.append(tree)
        names += sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
                         and node.id.startswith("_") and node.id in module} - {*names})
    return trees


class _Replace(ast.NodeTransformer):
    """Puts a node in the place of the one that ast.walk() comes to as the i-th."""

    def __init__(self, i, new):
        self.i, self.new = i, new

    def of(self, tree):
        tree = copy.deepcopy(tree)
        self.old = next(node for i, node in enumerate(ast.walk(tree)) if i == self.i)
        return self.visit(tree)

    def visit(self, node):
        return copy.deepcopy(self.new) if node is self.old else self.generic_visit(node)


def _changes(node):
    """What a node may become."""
    if isinstance(node, ast.Compare):
        yield from (_with(node, ops=[other(), *node.ops[1:]])
                    for other in OTHER[type(node.ops[0])])
    elif isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        yield from (_with(node, op=other()) for other in OTHER.get(type(node.op), ()))
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield from (ast.Constant(node.value + step) for step in (1, -1))
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield _with(node, id=NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _with(node, attr=NAMES[node.attr])
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Slice):
        yield from (_with(node, **{end: None}) for end in ("lower", "upper", "step")
                    if getattr(node, end))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield _with(node, left=node.right, right=node.left)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    if isinstance(node, (ast.If, ast.IfExp)):
        yield from (_with(node, test=ast.Constant(value)) for value in (True, False))
    if isinstance(node, ast.comprehension) and node.ifs:
        yield _with(node, ifs=[])
    if isinstance(node, (ast.AugAssign, ast.Break, ast.Continue)) or (
            isinstance(node, ast.Expr) and not _is_check(node.value)):
        yield ast.Pass()


def _calls(node):
    symmetric = isinstance(node.func, ast.Name) and node.func.id in ("min", "max")
    starred = any(isinstance(arg, ast.Starred) for arg in node.args)
    if len(node.args) > 1 and not symmetric and not starred:
        yield _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    for keyword in node.keywords:
        yield _with(node, keywords=[k for k in node.keywords if k is not keyword])


def _is_check(node):
    function = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return function.startswith(("checks.", "check_"))


def _with(node, **fields):
    new = copy.copy(node)
    vars(new).update(fields)
    return new


def _short(node):
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return " ".join(text.split())[:60]


def main(argv):
    """Judge the mutants of what argv names; returns the exit code."""
    rows = []
    for exercise in find(argv[0]):
        with Remote(LESSONS / "solutions" / exercise.file) as remote:
            call = partial(remote.call, exercise.name, exercise.number, seconds=exercise.seconds,
                           through=f"{__spec__.name}:mutated")
            left = survivors(exercise, call)
        rows.append([exercise.name, len(mutants(exercise.solution)), len(left)])
        for words in left:
            say(f"{exercise.name}: {words}")
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    share = 1 - rows[-1][2] / max(rows[-1][1], 1)
    cells = [[name, f"{count}", f"{count - left}", f"{left}"] for name, count, left in rows]
    say("\n" + table(cells, ["exercise", "mutants", "killed", "survive"]))
    say(f"\n{100 * share:.1f} % are killed.")
    return 0 if share >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
