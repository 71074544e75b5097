"""Sparse matrices whose rows (CSR, BSR) or columns (CSC, BSC) are compressed: where each begins, instead of its number.

In BSR and BSC the elements are blocks. What is computed with them goes through coordinate form, which is kept."""

from __future__ import annotations

import math

import numpy as np

from ..errors import NotStrided
from ..ir.shapes import dim_index
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import function
from .sparse_tensor import Sparse, SparseTensor, checks_order, made_elements, need_indices, places_of

# by layout: whether rows are compressed, whether elements are blocks, its name in messages, names of its indices
KINDS = {
    "sparse_csr": (True, False, "SparseCsr", "crow_indices", "col_indices"),
    "sparse_csc": (False, False, "SparseCsc", "ccol_indices", "row_indices"),
    "sparse_bsr": (True, True, "SparseBsr", "crow_indices", "col_indices"),
    "sparse_bsc": (False, True, "SparseBsc", "ccol_indices", "row_indices"),
}
TURNED = {
    "sparse_csr": "sparse_csc",
    "sparse_csc": "sparse_csr",
    "sparse_bsr": "sparse_bsc",
    "sparse_bsc": "sparse_bsr",
}


class CompressedTensor(Sparse):
    """A sparse matrix (R, C, *dense dims), one of its dims compressed.

    `starts` (rows + 1) says where the elements of each row begin, `others` (nnz) the column of each; rows and columns
    the other way round in CSC and BSC, and of blocks in BSR and BSC. Elements: (nnz, *block, *dense dims)."""

    def __new__(cls, kind: str, starts: Tensor, others: Tensor, values: Tensor, shape):
        self = Sparse.__new__(cls, values, shape)
        self._kind, self._starts, self._others = kind, starts, others
        self._rows, self._blocks, self._where = KINDS[kind][:3]
        self._coordinates = None
        return self

    is_sparse_csr = property(lambda self: self._kind == "sparse_csr", None, None, "Whether its rows are compressed.")

    def _with(self, elements: Tensor, shape=None) -> CompressedTensor:
        made = CompressedTensor(
            self._kind, self._starts, self._others, elements, self.shape if shape is None else shape
        )
        made._coordinates = self._coordinates
        return made

    # --- its parts

    def _part(self, rows: bool, part: str, name: str) -> Tensor:
        if self._rows is not rows:
            which = "row" if rows else "column"
            raise RuntimeError(f"{name} expected sparse {which} compressed tensor layout but got {self._where}")
        return getattr(self, part)

    def crow_indices(self) -> Tensor:
        """Where each row's elements begin, and where the last end: (rows + 1)."""
        return self._part(True, "_starts", "crow_indices")

    def col_indices(self) -> Tensor:
        """The column of each element: (nnz)."""
        return self._part(True, "_others", "col_indices")

    def ccol_indices(self) -> Tensor:
        """Where each column's elements begin, and where the last end: (columns + 1)."""
        return self._part(False, "_starts", "ccol_indices")

    def row_indices(self) -> Tensor:
        """The row of each element: (nnz)."""
        return self._part(False, "_others", "row_indices")

    def values(self) -> Tensor:
        """The stored elements: (nnz, *block, *dense dims)."""
        return self._elements

    def sparse_dim(self) -> int:
        """2: rows and columns."""
        return 2

    def dense_dim(self) -> int:
        """The number of dims of each element."""
        return self.dim() - 2

    def _block(self) -> tuple[int, int]:
        return tuple(layout_of(self._elements).shape[1:3]) if self._blocks else (1, 1)

    # --- other forms

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor in coordinate form."""
        if self._coordinates is None:
            starts, others = array_of(self._starts).astype(np.int64), array_of(self._others).astype(np.int64)
            lines = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            places = np.stack([lines, others] if self._rows else [others, lines])
            ordered = self._rows and bool((np.diff(places[0] * (others.max(initial=0) + 1) + others) > 0).all())
            if self._blocks:  # each place of a block after the other
                a, b = self._block()
                inside = np.indices((a, b)).reshape(2, 1, -1)
                places = (places[:, :, None] * np.array([a, b]).reshape(2, 1, 1) + inside).reshape(2, -1)
            self._coordinates = make_tensor(places), ordered and not self._blocks
        places, ordered = self._coordinates
        elements = self._elements
        if self._blocks:
            elements = elements.reshape(layout_of(places).shape[1], *self.shape[2:])
        return SparseTensor(places, elements, self.shape, ordered)

    def transpose(self, dim0: int, dim1: int) -> CompressedTensor:
        """Rows and columns exchanged: CSR becomes CSC, BSR becomes BSC, and the other way round."""
        a, b = dim_index(dim0, self.dim()), dim_index(dim1, self.dim())
        if a == b:
            return self
        if {a, b} != {0, 1}:
            raise RuntimeError(f"transpose: dims {dim0} and {dim1} of a {self._where} tensor cannot be exchanged")
        elements = self._elements.transpose(1, 2) if self._blocks else self._elements
        shape = (self.shape[1], self.shape[0], *self.shape[2:])
        return CompressedTensor(TURNED[self._kind], self._starts, self._others, elements, shape)

    def t(self) -> CompressedTensor:
        """Rows and columns exchanged."""
        return self.transpose(0, 1)

    T = mT = property(lambda self: self.transpose(0, 1), None, None, "Rows and columns exchanged.")

    def select(self, dim: int, index: int) -> Tensor:
        """One row or column, in coordinate form."""
        return self.to_sparse_coo().select(dim, index)

    def __getitem__(self, item):
        return self.to_sparse_coo()[item]

    def _nonblock(self) -> CompressedTensor:
        if self._blocks:
            raise NotStrided(f"{self._where} tensors cannot be computed with here: use to_dense(), or to_sparse_csr()")
        return self

    def __reduce_ex__(self, proto):
        return _remade, (self._kind, self._starts, self._others, self._elements.detach(), tuple(self.shape))


def _remade(kind: str, starts, others, values, shape) -> CompressedTensor:
    return compressed(kind, starts, others, values, shape)


# --- making one ---------------------------------------------------------------------------------------------------


def compressed(
    kind: str, starts, others, values, size=None, dtype=None, device=None, requires_grad=False, check=False
) -> CompressedTensor:
    """A compressed tensor whose parts fit together; RuntimeError where they do not."""
    rows, blocks, _, first, second = KINDS[kind]
    name = f"{kind}_tensor"
    values = made_elements(name, values, dtype, device, requires_grad)
    starts = starts if isinstance(starts, Tensor) else make_tensor(starts)
    if layout_of(starts).ndim > 1:
        raise NotImplementedError(
            f"{name}: there are no batches of compressed tensors here; make one for each, or a COO"
        )
    starts = need_indices(name, first, starts, 1)
    others = need_indices(name, second, others, 1)
    s, o, shape = array_of(starts).astype(np.int64), array_of(others).astype(np.int64), layout_of(values).shape
    nnz, inner = o.size, 3 if blocks else 1
    if len(shape) < inner or shape[0] != nnz:
        raise RuntimeError(
            f"{name}: values must have {nnz} entries of {inner - 1} or more dims, as {second} has, but are {list(shape)}"
        )
    block = shape[1:3] if blocks else (1, 1)
    mine, other = (block[0], block[1]) if rows else (block[1], block[0])
    if size is None:
        lines, across = (s.size - 1) * mine, (int(o.max(initial=-1)) + 1) * other
        size = ((lines, across) if rows else (across, lines)) + tuple(shape[inner:])
    size = tuple(size)
    if len(size) < 2 or size[2:] != tuple(shape[inner:]):
        raise RuntimeError(f"{name}: size {list(size)} does not fit values of shape {list(shape)}")
    lines, across = (size[0], size[1]) if rows else (size[1], size[0])
    if lines % mine or across % other:
        raise RuntimeError(f"{name}: size {list(size)} must be divisible by the block size {list(block)}")
    lines, across = lines // mine, across // other
    wrong = None
    if s.size != lines + 1:
        wrong = f"{first}.shape[-1] == {lines + 1}"
    elif s[0] != 0:
        wrong = f"{first}[..., 0] == 0"
    elif s[-1] != nnz:
        wrong = f"{first}[..., -1] == nnz"
    elif (np.diff(s) < 0).any() or np.diff(s).max(initial=0) > across and check:
        wrong = f"0 <= {first}[..., 1:] - {first}[..., :-1] <= {across}"
    elif nnz and not (o.min() >= 0 and o.max() < across):
        wrong = f"0 <= {second} < {across}"
    elif check and (np.diff(np.repeat(np.arange(lines), np.diff(s)) * across + o) <= 0).any():
        wrong = f"{second} are sorted and distinct in each of the {lines} stretches"
    if wrong:
        raise RuntimeError(f"`{wrong}` is not satisfied ({name} of size {list(size)} with {nnz} entries)")
    made = CompressedTensor(kind, starts, others, values, size)
    return made.requires_grad_() if requires_grad else made


@function(where="torch")
def sparse_csr_tensor(
    crow_indices, col_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A sparse matrix with compressed rows.

    Args: crow_indices: (rows + 1), where each row begins; col_indices: (nnz); values: (nnz, *dense dims); size: default
    None, what has room; check_invariants: also refuse columns that are not in order.
    Raises: RuntimeError where the parts do not fit together."""
    return compressed(
        "sparse_csr",
        crow_indices,
        col_indices,
        values,
        size,
        dtype,
        device,
        requires_grad,
        checks_order(check_invariants),
    )


@function(where="torch")
def sparse_csc_tensor(
    ccol_indices, row_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A sparse matrix with compressed columns: as `sparse_csr_tensor`, rows and columns exchanged."""
    return compressed(
        "sparse_csc",
        ccol_indices,
        row_indices,
        values,
        size,
        dtype,
        device,
        requires_grad,
        checks_order(check_invariants),
    )


@function(where="torch")
def sparse_bsr_tensor(
    crow_indices, col_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A sparse matrix of blocks with compressed rows: as `sparse_csr_tensor`, indices counting blocks.

    Args: values: (nnz, block rows, block columns, *dense dims)."""
    return compressed(
        "sparse_bsr",
        crow_indices,
        col_indices,
        values,
        size,
        dtype,
        device,
        requires_grad,
        checks_order(check_invariants),
    )


@function(where="torch")
def sparse_bsc_tensor(
    ccol_indices, row_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A sparse matrix of blocks with compressed columns: as `sparse_bsr_tensor`, rows and columns exchanged."""
    return compressed(
        "sparse_bsc",
        ccol_indices,
        row_indices,
        values,
        size,
        dtype,
        device,
        requires_grad,
        checks_order(check_invariants),
    )


@function(where="torch")
def sparse_compressed_tensor(
    compressed_indices, plain_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A compressed sparse matrix of the layout named: torch.sparse_csr, sparse_csc, sparse_bsr or sparse_bsc."""
    kind = getattr(layout, "name", "none")
    if kind not in KINDS:
        raise RuntimeError(f"sparse_compressed_tensor expected sparse compressed tensor layout but got {kind}")
    return compressed(
        kind,
        compressed_indices,
        plain_indices,
        values,
        size,
        dtype,
        device,
        requires_grad,
        checks_order(check_invariants),
    )


# --- from other forms ---------------------------------------------------------------------------------------------


@function(where="Tensor")
def to_sparse(self, sparseDims=None, *, layout=None, blocksize=None, dense_dim=None):
    """A sparse tensor of the elements that are not zero; gradients flow back to those.

    Args: sparseDims: how many of the first dims indices speak of. Default: all; layout: torch.sparse_coo (default) or a
    compressed one; blocksize: of BSR and BSC; dense_dim: of compressed layouts, dims of each element."""
    kind = "sparse_coo" if layout is None else layout.name
    if sparseDims is not None and (layout is not None or not hasattr(sparseDims, "__index__")):
        raise TypeError("to_sparse() takes a number of sparse dims, or keywords layout=, blocksize= and dense_dim=")
    if kind == "strided":
        raise RuntimeError("to_sparse: torch.strided is no sparse layout; use to_dense()")
    if kind == "sparse_coo":
        if blocksize is not None:
            raise RuntimeError("to_sparse: only SparseBsr and SparseBsc have blocks; leave blocksize out")
        return to_coordinates(self, sparseDims)
    if KINDS[kind][1] is (blocksize is None):
        given = "with blocksize argument given" if blocksize is not None else "without blocksize argument given"
        raise RuntimeError(f"to_sparse: conversion from {_name(self)} to {KINDS[kind][2]} {given} is not supported")
    return to_compressed(kind, self, blocksize, dense_dim)


def _name(x) -> str:
    return getattr(x, "_where", "Strided")


def to_coordinates(x, sparse_dim=None) -> SparseTensor:
    """The elements of x that are not zero (or slices, of which sparse_dim first dims say where) in coordinate form."""
    if isinstance(x, Sparse):
        x = x.to_sparse_coo()
        if sparse_dim is not None and sparse_dim != x.sparse_dim():
            raise RuntimeError(
                f"to_sparse: a sparse tensor with {x.sparse_dim()} sparse dims keeps them, but got {sparse_dim}"
            )
        return x
    n = x.dim()
    m = n if sparse_dim is None else sparse_dim
    if not 0 <= m <= n:
        raise RuntimeError(f"dense_to_sparse: sparse_dim argument must be in [0,{n}] range, but {m} is given")
    if m == 0 and n > 0:
        raise RuntimeError("dense_to_sparse: sparse_dim argument must be in >0 when self.dim()>0")
    sizes, rest = tuple(x.shape[:m]), tuple(x.shape[m:])
    rows = x.reshape(math.prod(sizes), *rest)
    kept = np.flatnonzero((array_of(rows) != 0).reshape(math.prod(sizes), -1).any(1))
    return SparseTensor(places_of(kept, sizes), rows.index_select(0, make_tensor(kept)), x.shape, True)


def to_compressed(kind: str, x, blocksize=None, dense_dim=None) -> CompressedTensor:
    """x in a compressed layout."""
    rows, blocks = KINDS[kind][:2]
    name = f"dense_to_{kind}"
    if isinstance(x, CompressedTensor) and x._kind == kind and (not blocks or x._block() == tuple(blocksize)):
        return x
    n = x.dim()
    most = n - 2
    if most < 0:
        raise IndexError(f"{name}: it needs two or more dims, but has shape {list(x.shape)}")
    if isinstance(x, Sparse):
        if dense_dim is not None and dense_dim != x.dense_dim():
            raise RuntimeError(f"{name}: a sparse tensor keeps its {x.dense_dim()} dense dims, but got {dense_dim}")
        dense_dim = x.dense_dim()
    elif dense_dim is not None and not 0 <= dense_dim <= most:
        raise RuntimeError(f"{name}: dense_dim argument must be in [0,{most}] range, but {dense_dim} is given")
    if n - (dense_dim or 0) != 2:
        raise NotImplementedError(f"{name}: there are no batches of compressed tensors here; shape {list(x.shape)}")
    if blocks:
        return _to_blocks(kind, name, x, blocksize)
    x = to_coordinates(x, None if isinstance(x, Sparse) else 2).coalesce()
    places = array_of(x._places)
    order = np.arange(places.shape[1]) if rows else np.lexsort((places[0], places[1]))
    mine, other = (places[0], places[1]) if rows else (places[1][order], places[0][order])
    lines = x.shape[0] if rows else x.shape[1]
    elements = x._elements if rows else x._elements.index_select(0, make_tensor(order))
    made = CompressedTensor(kind, _starts(mine, lines), make_tensor(other), elements, x.shape)
    if rows:
        made._coordinates = x._places, True
    return made


def _starts(lines: np.ndarray, count: int) -> Tensor:
    return make_tensor(np.concatenate([[0], np.cumsum(np.bincount(lines, minlength=count))]).astype(np.int64))


def _to_blocks(kind: str, name: str, x, blocksize) -> CompressedTensor:
    rows = KINDS[kind][0]
    block = (blocksize, blocksize) if hasattr(blocksize, "__index__") else tuple(blocksize)
    if len(block) != 2:
        raise RuntimeError(f"{name}: blocksize needs to be a tuple of size 2, but got {len(block)}")
    (a, b), shape = block, tuple(x.shape)
    if a < 1 or b < 1 or shape[0] % a or shape[1] % b:
        raise RuntimeError(
            f"{name}: tensor sparse size ({shape[0]},{shape[1]}) must be divisible by given blocksize ({a},{b})"
        )
    dense = x.to_dense()
    tiles = dense.reshape(shape[0] // a, a, shape[1] // b, b, *shape[2:]).transpose(1, 2)
    there = (array_of(tiles) != 0).reshape(shape[0] // a, shape[1] // b, -1).any(-1)
    mine, other = np.nonzero(there if rows else there.T)
    at = mine * there.shape[1] + other if rows else other * there.shape[1] + mine
    elements = tiles.reshape(-1, a, b, *shape[2:]).index_select(0, make_tensor(at))
    return CompressedTensor(kind, _starts(mine, len(there if rows else there.T)), make_tensor(other), elements, shape)


@function(where="Tensor")
def to_sparse_coo(self):
    """A sparse tensor of the elements that are not zero, in coordinate form."""
    return to_coordinates(self)


@function(where="Tensor")
def to_sparse_csr(self, dense_dim=None):
    """A sparse matrix of the elements that are not zero, its rows compressed."""
    return to_compressed("sparse_csr", self, None, dense_dim)


@function(where="Tensor")
def to_sparse_csc(self, dense_dim=None):
    """A sparse matrix of the elements that are not zero, its columns compressed."""
    return to_compressed("sparse_csc", self, None, dense_dim)


@function(where="Tensor")
def to_sparse_bsr(self, blocksize, dense_dim=None):
    """A sparse matrix of the blocks that are not all zero, its rows compressed. Args: blocksize: (rows, columns)."""
    return to_compressed("sparse_bsr", self, blocksize, dense_dim)


@function(where="Tensor")
def to_sparse_bsc(self, blocksize, dense_dim=None):
    """A sparse matrix of the blocks that are not all zero, its columns compressed. Args: blocksize: (rows, columns)."""
    return to_compressed("sparse_bsc", self, blocksize, dense_dim)
