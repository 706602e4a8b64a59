"""Eight float32 numbers side by side, as a type of numba: what the kernels on a CPU compute with.

A loop over samples at unrelated places in memory is not vectorised well by a compiler: it fetches them one by
one, or with a gather, which is as slow. Here the four corners of each sample come in one load each, and are
turned so that eight samples lie side by side (`corners`). All is plain vector code of LLVM, which fits it to
the registers that the machine has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature

LANES = 8

intrinsic: Any = extending.intrinsic  # whose first argument is not one of the call

_INT = ir.IntType(32)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(_INT, LANES)
_QUAD = ir.VectorType(ir.FloatType(), 4)


class Lanes(types.Type):
    """Type of `LANES` numbers of one kind."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


floats = Lanes(types.float32)
ints = Lanes(types.int32)


@extending.register_model(Lanes)
class _LanesModel(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _FLOATS if kind.dtype == types.float32 else _INTS)


def _spread(builder: ir.IRBuilder, number: ir.Value, kind: ir.VectorType) -> ir.Value:
    empty = ir.Constant(kind, ir.Undefined)
    return _picked(builder, builder.insert_element(empty, number, _INT(0)), empty, [0] * LANES)


def _picked(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, places: Sequence[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(places)), list(places)))


def _define(symbol: Callable[..., Any], on_floats: str, on_ints: str) -> None:
    """An operator between lanes, and between lanes and one number."""

    @infer_global(symbol)
    class _Typing(ConcreteTemplate):
        cases = [  # noqa: RUF012
            signature(kind, *pair)
            for kind in (floats, ints)
            for pair in ((kind, kind), (kind, kind.dtype), (kind.dtype, kind))
        ]

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]) -> ir.Value:
        kind, name = (_FLOATS, on_floats) if sig.return_type == floats else (_INTS, on_ints)
        pair = (
            value if isinstance(given, Lanes) else _spread(builder, value, kind)
            for value, given in zip(args, sig.args, strict=True)
        )
        return getattr(builder, name)(*pair)

    for case in _Typing.cases:
        extending.lower_builtin(symbol, *case.args)(lower)


for _symbol in (operator.add, operator.iadd):
    _define(_symbol, "fadd", "add")
for _symbol in (operator.mul, operator.imul):
    _define(_symbol, "fmul", "mul")
_define(operator.sub, "fsub", "sub")


@intrinsic
def counting(typing):  # type: ignore[no-untyped-def]
    """0, 1, 2, ..."""
    return floats(), lambda context, builder, sig, args: ir.Constant(
        _FLOATS, [float(n) for n in range(LANES)]
    )


@intrinsic
def zeros(typing):  # type: ignore[no-untyped-def]
    """0 in every lane."""
    return floats(), lambda context, builder, sig, args: ir.Constant(_FLOATS, [0.0] * LANES)


@intrinsic
def clamped(typing, values, low, high):  # type: ignore[no-untyped-def]
    """The values moved into [low, high]; NaN becomes low."""

    def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
        values, low, high = args[0], *(_spread(builder, arg, _FLOATS) for arg in args[1:])
        values = builder.select(builder.fcmp_ordered(">", values, low), values, low)
        return builder.select(builder.fcmp_ordered("<", values, high), values, high)

    return floats(floats, types.float32, types.float32), lower


@intrinsic
def whole(typing, values):  # type: ignore[no-untyped-def]
    """Whole part of numbers that are not negative."""
    return ints(floats), lambda context, builder, sig, args: builder.fptosi(args[0], _INTS)


@intrinsic
def as_floats(typing, values):  # type: ignore[no-untyped-def]
    """Whole numbers as float32."""
    return floats(ints), lambda context, builder, sig, args: builder.sitofp(args[0], _FLOATS)


@intrinsic
def lane(typing, values, n):  # type: ignore[no-untyped-def]
    """One of the numbers."""

    def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.extract_element(args[0], builder.trunc(args[1], _INT))

    return types.float32(floats, types.int64), lower


@intrinsic
def corners(typing, flat, base, at, n):  # type: ignore[no-untyped-def]
    """Four neighbours in memory for each lane, from ``flat[base + at[n]]`` on, sorted into four lanes.

    Not checked: the kernels keep to positions inside.
    """

    def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
        start = _address(context, builder, sig.args[0], *args[:2])
        offsets = _offsets(builder, _address(context, builder, sig.args[2], *args[2:]))
        quads = [_loaded(builder, builder.gep(start, [offset]), _QUAD) for offset in offsets]
        return context.make_tuple(builder, sig.return_type, _transposed(builder, quads))

    return types.UniTuple(floats, 4)(flat, types.int64, at, types.int64), lower


def _adding(count: int, width: int) -> Any:
    """The function that adds eight samples of `count` times `width` channels to their totals.

    A block of so many channels has a total of twice as many numbers, whose halves are to be added at last, in
    ``totals[t]`` and on. Each of ``at[n]`` and on is a sample, as each lane of `fa` and `fb`: its corners are
    the two neighbours from ``flat[base + at[n]]`` on, and the two that lie `stride` further on. Weights and
    totals stay in registers for all blocks. Not checked.
    """
    loads = 2 * width // LANES

    @intrinsic
    def add(typing, totals, t, flat, base, at, n, stride, fa, fb):  # type: ignore[no-untyped-def]
        def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
            totals, t, flat, base, at, n, stride, fa, fb = args
            start = _address(context, builder, sig.args[2], flat, base)
            total = _address(context, builder, sig.args[0], totals, t)
            places = [builder.gep(total, [_INT(LANES * part)]) for part in range(count * loads)]
            near_sums = [_loaded(builder, place, _FLOATS) for place in places]
            far_sums = [ir.Constant(_FLOATS, [0.0] * LANES)] * len(places)  # apart: additions wait less
            past = builder.fsub(ir.Constant(_FLOATS, [1.0] * LANES), fb)
            for i, offset in enumerate(_offsets(builder, _address(context, builder, sig.args[4], at, n))):
                far_share = _picked(builder, fa, fa, [i] * LANES)
                lanes = [i] * width + [i + LANES] * width
                along = [_picked(builder, past, fb, lanes[p : p + LANES]) for p in range(0, 2 * width, LANES)]
                far_weights = [builder.fmul(weight, far_share) for weight in along]
                near_weights = list(map(builder.fsub, along, far_weights))
                for part in range(count * loads):
                    block, p = divmod(part, loads)
                    beside = p * (count * width if width == LANES else LANES)
                    here = builder.add(offset, offset.type(block * width + beside))
                    near = _loaded(builder, builder.gep(start, [here]), _FLOATS)
                    far = _loaded(builder, builder.gep(start, [builder.add(here, stride)]), _FLOATS)
                    near_sums[part] = builder.fadd(near_sums[part], builder.fmul(near_weights[p], near))
                    far_sums[part] = builder.fadd(far_sums[part], builder.fmul(far_weights[p], far))
            for place, near, far in zip(places, near_sums, far_sums, strict=True):
                _stored(builder, place, builder.fadd(near, far))
            return context.get_dummy_value()

        number = types.int64
        return types.void(totals, number, flat, number, at, number, number, floats, floats), lower

    return add


add_few = _adding(1, 4)
add_block, add_two_blocks, add_three_blocks, add_four_blocks = (_adding(count, 8) for count in (1, 2, 3, 4))


@intrinsic
def load(typing, flat, n):  # type: ignore[no-untyped-def]
    """The numbers from ``flat[n]`` on. Not checked."""

    def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _loaded(builder, _address(context, builder, sig.args[0], *args), _FLOATS)

    return floats(flat, types.int64), lower


@intrinsic
def store(typing, flat, n, values):  # type: ignore[no-untyped-def]
    """Put the numbers into ``flat[n]`` and on. Not checked."""

    def lower(context, builder, sig, args):  # type: ignore[no-untyped-def]
        _stored(builder, _address(context, builder, sig.args[0], *args[:2]), args[2])
        return context.get_dummy_value()

    return types.void(flat, types.int64, values), lower


def _address(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, n: ir.Value) -> ir.Value:
    if kind.ndim != 1 or kind.layout != "C":
        raise TypeError(f"lanes are loaded from and stored to a contiguous line of numbers, not {kind}")
    return builder.gep(cgutils.create_struct_proxy(kind)(context, builder, array).data, [n])


def _offsets(builder: ir.IRBuilder, place: ir.Value) -> list[ir.Value]:
    """As many offsets as lanes, read one by one: faster than taking them out of lanes."""
    at = (builder.load(builder.gep(place, [_INT(i)])) for i in range(LANES))
    return [builder.sext(offset, ir.IntType(64)) for offset in at]


def _loaded(builder: ir.IRBuilder, place: ir.Value, kind: ir.VectorType) -> ir.Value:
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=4)


def _stored(builder: ir.IRBuilder, place: ir.Value, values: ir.Value) -> None:
    builder.store(values, builder.bitcast(place, values.type.as_pointer()), align=4)


def _transposed(builder: ir.IRBuilder, quads: list[ir.Value]) -> list[ir.Value]:
    """Eight times four numbers as four times eight."""
    rows = [_picked(builder, quads[n], quads[n + 4], range(8)) for n in range(4)]

    def half(a: ir.Value, b: ir.Value, places: Sequence[int]) -> ir.Value:
        return _picked(builder, a, b, [*places, *(n + 4 for n in places)])

    low, high = (0, 8, 1, 9), (2, 10, 3, 11)
    first, second = half(rows[0], rows[1], low), half(rows[2], rows[3], low)
    third, fourth = half(rows[0], rows[1], high), half(rows[2], rows[3], high)
    left, right = (0, 1, 8, 9), (2, 3, 10, 11)
    return [half(a, b, places) for a, b in ((first, second), (third, fourth)) for places in (left, right)]
