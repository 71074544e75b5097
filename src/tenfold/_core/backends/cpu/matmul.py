"""Matrix products: C = A @ B, with a bias, accumulation, two batch dims and any strides.

In: a dtype. Out: the text of an LLVM IR module that defines `void @gemm_<dtype>(ptr %table, ptr %row)`. `row` holds
the numbers that `ROW` names, in its order, as i64:

    a, b, c, bias, scratch   which entries of the table; bias is -1 where there is none
    *_off                    offset of an operand's first element; this and all strides count elements
    m, n, k                  C is m × n, A is m × k, B is k × n; any of them may be 0
    *_row, *_col             strides; any value (0 and negative too) for A, B and the bias
    batch1, batch2           sizes of the two batch dims, 1 where there are none
    *_batch1, *_batch2       strides of the batch dims
    accumulate               0: C = A @ B + bias.  1: C = C + A @ B + bias.

C must not overlap itself, A, B or the bias. `scratch` is memory of `scratch_bytes` bytes that a call may overwrite.
"""

from __future__ import annotations

from .native_text import ELEMENTS, Function

OPERANDS = ("a", "b", "c", "bias")
ROW = (
    *OPERANDS,
    "scratch",
    *(f"{x}_off" for x in OPERANDS),
    *("m", "n", "k"),
    *(f"{x}_{dim}" for x in OPERANDS for dim in ("row", "col")),
    *("batch1", "batch2"),
    *(f"{x}_{dim}" for x in OPERANDS for dim in ("batch1", "batch2")),
    "accumulate",
)
BLOCK = 256  # a sum over k is a chain of fused multiply-adds for each block of this length, the blocks added in order


def scratch_bytes(dtype: str, m: int, n: int, k: int) -> int:
    """How much scratch a product of these sizes needs."""
    return 0


def module(dtype: str) -> str:
    kind = ELEMENTS[dtype]
    f = Function(f"void @gemm_{dtype}(ptr %table, ptr %row)")
    r = f.entries("%row", ROW)
    r["has_bias"] = f.compare("sge", r["bias"], 0)
    starts = {x: f.buffer("%table", f.max(r[x], 0), kind, r[f"{x}_off"]) for x in OPERANDS}
    zero = "0.0"
    with f.loop(0, r["batch1"]) as b1, f.loop(0, r["batch2"]) as b2:
        at = {x: f.at(starts[x], kind, f.mul(b1, r[f"{x}_batch1"]), f.mul(b2, r[f"{x}_batch2"])) for x in OPERANDS}
        with f.loop(0, r["m"]) as i, f.loop(0, r["n"]) as j:
            place = f.at(at["c"], kind, f.mul(i, r["c_row"]), f.mul(j, r["c_col"]))
            total = f.variable(kind, zero)
            with f.when(f.compare("ne", r["accumulate"], 0)):
                f.store(kind, f.load(kind, place), total)
            with f.when(r["has_bias"]):
                bias = f.load(kind, f.at(at["bias"], kind, f.mul(i, r["bias_row"]), f.mul(j, r["bias_col"])))
                f.store(kind, f.op(f"fadd {kind} {f.load(kind, total)}, {bias}"), total)
            with f.loop(0, r["k"], BLOCK) as first:
                chain = f.variable(kind, zero)
                with f.loop(first, f.min(f.add(first, BLOCK), r["k"])) as q:
                    a = f.load(kind, f.at(at["a"], kind, f.mul(i, r["a_row"]), f.mul(q, r["a_col"])))
                    b = f.load(kind, f.at(at["b"], kind, f.mul(q, r["b_row"]), f.mul(j, r["b_col"])))
                    sum_ = f"call {kind} @llvm.fma.{dtype}({kind} {a}, {kind} {b}, {kind} {f.load(kind, chain)})"
                    f.store(kind, f.op(sum_), chain)
                f.store(kind, f.op(f"fadd {kind} {f.load(kind, total)}, {f.load(kind, chain)}"), total)
            f.store(kind, f.load(kind, total), place)
    declarations = [
        f"declare {kind} @llvm.fma.{dtype}({kind}, {kind}, {kind})",
        "declare i64 @llvm.smin.i64(i64, i64)",
        "declare i64 @llvm.smax.i64(i64, i64)",
    ]
    return "\n".join([*declarations, f.text()])
