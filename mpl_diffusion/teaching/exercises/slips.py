"""Small slips, made on purpose in a tested solution: the one that gives a student's answer is what they did.

A solution's source is changed in one place, or wherever the same expression stands: a root left out, a sign turned, a
table read one row early. An exercise's table of mistakes speaks first; this one catches what no table thought of.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator

from torch import Tensor

from .engine import Exercise, cases_of, ours

ROOT_MISSING = "a square root is missing, so a variance stands where a std or an amplitude belongs"
ROOT_TOO_MANY = "there is one square root too many"
ROOT_INSIDE = "the root is taken before the subtraction from 1, and not after it"
ROOTS_MISSING = "more than one square root is missing, so variances stand where stds or amplitudes belong"
SQUARED = "something is squared that should not be"
NOT_SQUARED = "something is not squared that should be"
SIGNS = "more than one sign is wrong"
SIGN = "a sign is wrong: something is added that should be subtracted, or the other way round"
ORDER = "a difference is taken the wrong way round"
MULTIPLIED = "you multiply where you should divide"
DIVIDED = "you divide where you should multiply"
NOT_DIVIDED = "a division is missing"
UPSIDE_DOWN = "a fraction is upside down"
BRACKETS = "check the brackets, what is multiplied or divided by what"
ONE_MINUS_MISSING = "a quantity stands where 1 minus it belongs"
ONE_MINUS_TOO_MUCH = "1 minus a quantity stands where the quantity itself belongs"
EARLY = "a table is read one row too early"
LATE = "a table is read one row too late"
SHIFTED = "a list or table is cut at the wrong end"
STEP_FOR_WALK = "what one step leaves, alpha, stands where alpha_bar belongs, what all steps leave together"
BETA_FOR_BAR = "beta stands where alpha_bar belongs"
NO_PRODUCT = "a product over all steps is missing: what a single step leaves, or takes, stands where alpha_bar belongs"
PRODUCT_OF_BETAS = "alpha_bar is the product of what the steps leave, and you multiply what they take away"
SUM_OF_STEPS = "alpha_bar comes from a product over all steps, and you add them up"
AXIS = "you work along the wrong axis"
NUMBER = "one of the numbers in your formula is wrong"
SUM_FOR_MEAN = "you take a sum where a mean belongs"
MEAN_FOR_SUM = "you take a mean where a sum belongs"
NOT_RESHAPED = "one number per row meets the last axis: it must be reshaped, so that it has one number per row"
EDGE = "check what happens where both sides are equal"
COMPARISON = "a comparison is the wrong way round"
FUNCTION = "you use {0} where {1} belongs"
NAME = "you use {0} where {1} belongs"
LEFT_OUT = "a {0} is missing{1}"
NOT_NAMED = {"torch", "math", "range", "zip", "int", "len", "sum", "float", "max", "min", "isinstance"}
TERMS = {"alpha", "alpha_bar", "x0_hat", "sigma", "mean", "variance", "signal", "norms", "convs", "time", "skip"}
LEFT_OUT_EASILY = ("log10", "cos", "mean", "round", "softmax", "clone", "sum")
METHODS = {  # a method, and those that are easily taken for it
    "cos": ["sin"],
    "sin": ["cos"],
    "mean": ["sum", "max", "median"],
    "sum": ["mean"],
    "argmin": ["argmax"],
    "log10": ["log", "log2"],
    "softmax": ["sigmoid", "exp", "log_softmax"],
    "std": ["var"],
    "cumprod": ["cumsum"],
}


@functools.cache
def slips(exercise: Exercise) -> list[tuple[str, Callable, Tensor]]:
    """A sentence, the wrong formula, and its answer to the first case."""
    first = cases_of(exercise)[0].args
    answers = [(sentence, formula, ours(formula, first)) for sentence, formula in made(exercise)]
    return [slip for slip in answers if isinstance(slip[2], Tensor)]


def made(exercise: Exercise) -> Iterator[tuple[str, Callable]]:
    """A sentence and a wrong formula: a solution, or another form of it, changed in one way."""
    known = {*exercise.arguments, *TERMS}
    for form in (exercise.solution, *exercise.forms):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(form)))
        except OSError:  # written in a console
            return
        for sentence in changes(tree, exercise.arguments):
            if (named := re.search(r", the one with (\w+)$", sentence)) and named[1] not in known:
                sentence = sentence[: named.start()]  # a name that only the solution uses
            scope = dict(form.__globals__)
            exec(compile(ast.fix_missing_locations(tree), "<slip>", "exec"), scope)
            yield sentence, scope[form.__name__]


def changes(tree: ast.Module, arguments: list[str]) -> Iterator[str]:
    """What is changed, while it is changed; the tree is whole again after each."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    names -= NOT_NAMED
    for spots in places(tree):
        for some in [[spot] for spot in spots] if len(spots) == 1 else [spots, *([spot] for spot in spots)]:
            old = [read(spot) for spot in some]
            for source, sentence in alternatives(old[0], names, arguments):
                for spot in some:
                    write(spot, ast.parse(source, mode="eval").body)
                yield sentence
                for spot, node in zip(some, old):
                    write(spot, node)
    yield from several(tree)


def several(tree: ast.Module) -> Iterator[str]:
    """More than one root left out, or more than one sign turned."""
    roots = [spot for spots in places(tree) for spot in spots if is_root(read(spot))]
    signs = [spot for spots in places(tree) for spot in spots if is_sum(read(spot))]
    for spots, change, sentence in ((roots, without_root, ROOTS_MISSING), (signs, other_sign, SIGNS)):
        for some in itertools.chain.from_iterable(itertools.combinations(spots[-5:], n) for n in (2, 3, 4)):
            old = [read(spot) for spot in some]
            inner_first = sorted(some, key=lambda spot: len(ast.unparse(read(spot))))
            for spot in inner_first:
                write(spot, change(read(spot)))
            yield sentence
            for spot, node in reversed(list(zip(some, old))):
                write(spot, node)


def is_root(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sqrt"


def without_root(node: ast.Call) -> ast.expr:
    return node.func.value


def is_sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and not is_one_minus(node)


def other_sign(node: ast.BinOp) -> ast.expr:
    return ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)


def places(tree: ast.Module) -> list[list[tuple]]:
    """Where expressions stand, (parent, field, number in a list or None); those that read alike are together."""
    found: dict[str, list[tuple]] = {}
    shapes = {id(node) for call in ast.walk(tree) if is_reshape(call) for arg in call.args for node in ast.walk(arg)}
    for parent in ast.walk(tree.body[0]):
        if isinstance(parent, ast.arguments) or id(parent) in shapes:
            continue
        for field, value in ast.iter_fields(parent):
            for number, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                    found.setdefault(ast.unparse(node), []).append((parent, field, number))
    return list(found.values())


def is_reshape(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reshape"


def read(spot: tuple) -> ast.expr:
    parent, field, number = spot
    return getattr(parent, field) if number is None else getattr(parent, field)[number]


def write(spot: tuple, node: ast.expr) -> None:
    parent, field, number = spot
    if number is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[number] = node


def alternatives(node: ast.expr, names: set[str], arguments: list[str]) -> Iterator[tuple[str, str]]:
    """What may stand in an expression's place by mistake, as source, and what to say of it."""
    here = ast.unparse(node)
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=method)):
            yield from of_method(node, ast.unparse(value), method, value)
        case ast.BinOp(left=left, op=op, right=right):
            yield from of_operator(op, left, right)
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield f"({ast.unparse(operand)})", SIGN
        case ast.Subscript(value=value, slice=place):
            yield from of_place(ast.unparse(value), place)
            yield from of_quantity(here)
        case ast.Name(id="t" | "k" | "t_next" as name):
            yield f"({name} - 1)", EARLY
            yield f"({name} + 1)", LATE
            yield f"(-{name})", "a table is read from its end"
            for other in sorted({"t", "t_next"} & names - {name}):
                yield other, NAME.format(other, name)
        case ast.Name(id=name):
            yield from of_quantity(here)
            for other in sorted(names - {name}):
                told = {name, other} <= {*arguments, *TERMS}
                yield other, NAME.format(other, name) if told else "one quantity stands where another belongs"
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            for other in dict.fromkeys(
                (number + 1, number - 1, 2 * number, number / 2, number**0.5, -number, 0, -1, 1)
            ):
                if other != number and not isinstance(other, complex):
                    sentence = SIGN if other == -number else NUMBER
                    yield repr(int(other) if other == int(other) else other), sentence
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = ast.unparse(left), ast.unparse(right)
            for sign, other in (("<", EDGE), ("<=", EDGE), (">", COMPARISON), (">=", COMPARISON)):
                turned = isinstance(op, ast.Gt | ast.GtE)
                yield f"{a} {sign} {b}", ({EDGE: COMPARISON, COMPARISON: EDGE}[other] if turned else other)


def of_quantity(x: str) -> Iterator[tuple[str, str]]:
    yield f"(-{x})", SIGN
    yield f"({x}) ** 0.5", ROOT_TOO_MANY
    yield f"({x}) ** 2", SQUARED
    yield f"(1 - {x})", ONE_MINUS_TOO_MUCH
    yield f"(1 / {x})", UPSIDE_DOWN


def of_method(call: ast.Call, x: str, method: str, value: ast.expr) -> Iterator[tuple[str, str]]:
    rest = f"({', '.join(map(ast.unparse, [*call.args, *call.keywords]))})"
    one_minus = ast.unparse(value.right) if is_one_minus(value) else None
    if method == "sqrt":
        yield f"({x})", ROOT_MISSING
        yield f"({x}) ** 2", SQUARED
        yield f"({x}) ** 0.25", ROOT_TOO_MANY
        yield f"(1 - ({x}).sqrt())", ONE_MINUS_TOO_MUCH
        yield f"(1 / ({x}).sqrt())", UPSIDE_DOWN
        if one_minus:
            yield f"(1 - ({one_minus}) ** 0.5)", ROOT_INSIDE
    elif method == "cumprod":
        yield f"({x})", NO_PRODUCT
        yield f"({x}).cumsum(0)", SUM_OF_STEPS
        yield f"({x}).cumprod(0).cumprod(0)", "alpha_bar is a product already, and you multiply it up once more"
        yield f"({x}).cumprod(0).sqrt()", ROOT_TOO_MANY
        yield f"(1 - ({x}).cumprod(0))", ONE_MINUS_TOO_MUCH
        if one_minus:
            yield f"({one_minus}).cumprod(0)", PRODUCT_OF_BETAS
            yield f"(1 - ({one_minus}).cumprod(0))", PRODUCT_OF_BETAS
            yield f"(1 - ({one_minus}).cumsum(0))", SUM_OF_STEPS
            yield f"({one_minus}).cumsum(0)", SUM_OF_STEPS
            yield f"({one_minus})", BETA_FOR_BAR
    elif method == "reshape":
        yield f"({x})", NOT_RESHAPED
    elif method in LEFT_OUT_EASILY:
        yield f"({x})", LEFT_OUT.format("step", f": .{method}")
    for other in METHODS.get(method, ()):
        sentence = {"sum": SUM_FOR_MEAN, "mean": MEAN_FOR_SUM}.get(other, FUNCTION.format(other, method))
        if other != "cumsum":
            yield f"({x}).{other}{rest}", sentence
    for dim in ("0", "1", "-1", "-2") if method in ("softmax", "argmin", "argmax", "cat", "mean", "sum") else ():
        yield f"({x}).{method}({dim})", AXIS


def of_operator(op: ast.operator, left: ast.expr, right: ast.expr) -> Iterator[tuple[str, str]]:
    a, b = (f"({ast.unparse(side)})" for side in (left, right))
    if isinstance(op, ast.Add):
        yield from ((f"{a} - {b}", SIGN), (f"{b} - {a}", SIGN), (a, term(right)), (b, term(left)))
        yield from of_size("+", left, right)
        yield from of_brackets("+", left, right)
    elif isinstance(op, ast.Sub):
        if is_one_minus(ast.BinOp(left, op, right)):
            yield b, ONE_MINUS_MISSING
            yield f"(1 + {b})", SIGN
            yield f"({b} - 1)", ORDER
        else:
            yield from (
                (f"{a} + {b}", SIGN),
                (f"{b} - {a}", ORDER),
                (a, term(right)),
                (b, term(left)),
                (f"-{b}", term(left)),
            )
            yield from of_size("-", left, right)
        yield from of_brackets("-", left, right)
    elif isinstance(op, ast.Mult):
        turned = UPSIDE_DOWN if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div) else DIVIDED
        yield from ((f"{a} / {b}", DIVIDED), (f"{b} / {a}", turned), (a, factor(right)), (b, factor(left)))
        yield f"({a} + {b})", "you add where you should multiply"
        yield f"({a} * {b}) ** 0.5", ROOT_TOO_MANY
        yield f"({a} * {b}) ** 2", SQUARED
        yield from of_products("*", left, right)
    elif isinstance(op, ast.Div):
        yield from ((f"{a} * {b}", MULTIPLIED), (a, NOT_DIVIDED), (f"{b} / {a}", UPSIDE_DOWN), (b, factor(left)))
        yield f"(1 / {b})", factor(left)
        yield f"({a} - {b})", "you subtract where you should divide"
        yield f"({a} / {b}) ** 0.5", ROOT_TOO_MANY
        yield f"({a} / {b}) ** 2", SQUARED
        yield f"(1 - {a} / {b})", ONE_MINUS_TOO_MUCH
        yield f"({a} // {b})", "you divide with //, which drops the fraction"
        yield from of_products("/", left, right)
    elif isinstance(op, ast.Pow):
        half = isinstance(right, ast.Constant) and right.value == 0.5
        yield a, ROOT_MISSING if half else NOT_SQUARED
        yield f"1 / ({a} ** {b})", UPSIDE_DOWN
        if half:
            yield f"{a} ** 2", SQUARED
        else:
            yield f"({a}).abs()", "you take absolute values where squares belong"
            yield f"{a} ** 3", NUMBER


def of_size(sign: str, left: ast.expr, right: ast.expr) -> Iterator[tuple[str, str]]:
    a, b = (f"({ast.unparse(side)})" for side in (left, right))
    for times, words in (("2 *", "twice"), ("0.5 *", "half")):
        if not isinstance(right, ast.Constant):
            yield f"{a} {sign} {times} {b}", f"a term is {words} as large as it should be"
        if not isinstance(left, ast.Constant):
            yield f"{times} {a} {sign} {b}", f"a term is {words} as large as it should be"


def of_brackets(sign: str, left: ast.expr, right: ast.expr) -> Iterator[tuple[str, str]]:
    """a + b c -> (a + b) c, and so on: a sum that swallows a neighbour's factor."""
    for side, inner in (("right", right), ("left", left)):
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult | ast.Div):
            times = "*" if isinstance(inner.op, ast.Mult) else "/"
            a, b, c = map(ast.unparse, (left, inner.left, inner.right))
            if side == "right":
                yield f"(({a}) {sign} ({b})) {times} ({c})", BRACKETS
            elif times == "*":
                yield f"({b}) * (({c}) {sign} ({ast.unparse(right)}))", BRACKETS


def of_products(times: str, left: ast.expr, right: ast.expr) -> Iterator[tuple[str, str]]:
    """(a + b) c -> a + b c, a (b + c) -> a b + c, a / (b c) -> a / b c: a bracket that was not written."""
    a, b = f"({ast.unparse(left)})", f"({ast.unparse(right)})"
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add | ast.Sub):
        sign, (x, y) = ("+" if isinstance(left.op, ast.Add) else "-"), map(ast.unparse, (left.left, left.right))
        yield f"({x}) {sign} ({y}) {times} {b}", BRACKETS
        yield f"({x}) {times} {b} {sign} ({y})", BRACKETS
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Add | ast.Sub):
        sign, (x, y) = ("+" if isinstance(right.op, ast.Add) else "-"), map(ast.unparse, (right.left, right.right))
        yield f"{a} {times} ({x}) {sign} ({y})", BRACKETS
    if times == "/" and isinstance(right, ast.BinOp) and isinstance(right.op, ast.Mult):
        yield f"{a} / ({ast.unparse(right.left)}) * ({ast.unparse(right.right)})", BRACKETS
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div) and times == "*":
        yield f"({ast.unparse(left.left)}) / (({ast.unparse(left.right)}) * {b})", BRACKETS


def of_place(table: str, place: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(place, ast.Slice):
        for other in ("1:", ":-1", ":", "2:", "1:-1"):
            yield f"{table}[{other}]", SHIFTED
        return
    here = ast.unparse(place)
    if isinstance(place, ast.Constant | ast.UnaryOp | ast.Tuple):
        if isinstance(place, ast.Constant):
            yield f"{table}[{place.value} + 1]", LATE
            yield f"{table}[{place.value} - 1]", EARLY
        return
    yield f"{table}[{here} - 1]", EARLY
    yield f"{table}[{here} + 1]", LATE
    if table == "alpha_bar":
        yield f"({table}[{here}] / {table}[{here} - 1])", STEP_FOR_WALK
        yield f"(1 - {table}[{here}] / {table}[{here} - 1])", BETA_FOR_BAR


def is_one_minus(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub()):
            return True
    return False


def term(node: ast.expr) -> str:
    return LEFT_OUT.format("term", with_names(node, ", the one with {}"))


def factor(node: ast.expr) -> str:
    return LEFT_OUT.format("factor", with_names(node, ", the one with {}"))


TABLES = ("t", "k", "t_next", "alpha_bar", "alpha_bar_t", "alpha", "beta", "betas", "beta_t", "a", "a_next")


def with_names(node: ast.expr, words: str) -> str:
    """The words with the name in an expression that tells most about it."""
    names = {n.id: n.id in TABLES for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in NOT_NAMED}
    return words.format(min(names, key=names.get)) if names else ""
