"""The named tuples that operations with several results return: `torch.return_types.max` and its like."""

from __future__ import annotations

import operator


class _Result(tuple):
    """A tuple of results with names; prints one name a line."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *items):
        if len(items) == 1 and len(cls._fields) != 1:
            items = tuple(items[0])
        if len(items) != len(cls._fields):
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes {len(cls._fields)} items ({', '.join(cls._fields)}),"
                f" not {len(items)}"
            )
        return tuple.__new__(cls, items)

    def __repr__(self) -> str:
        body = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{body})"

    def __reduce__(self):
        return (_remake, (type(self).__name__, tuple(self)))

    def _asdict(self) -> dict:
        return dict(zip(self._fields, self))


def _remake(name: str, items: tuple):
    return globals()[name](items)


def _named(name: str, *fields: str) -> type:
    places = {f: property(operator.itemgetter(i)) for i, f in enumerate(fields)}
    body = {
        "__slots__": (), "_fields": fields, "__match_args__": fields,
        "n_fields": len(fields), "n_sequence_fields": len(fields),
        "__module__": "torch.return_types", "__doc__": f"What `{name}` returns: {', '.join(fields)}.", **places,
    }  # fmt: skip
    return type(name, (_Result,), body)


_lu_with_info = _named("_lu_with_info", "LU", "pivots", "info")
aminmax = _named("aminmax", "min", "max")
cummax = _named("cummax", "values", "indices")
cummin = _named("cummin", "values", "indices")
frexp = _named("frexp", "mantissa", "exponent")
geqrf = _named("geqrf", "a", "tau")
histogram = _named("histogram", "hist", "bin_edges")
histogramdd = _named("histogramdd", "hist", "bin_edges")
kthvalue = _named("kthvalue", "values", "indices")
linalg_cholesky_ex = _named("linalg_cholesky_ex", "L", "info")
linalg_eig = _named("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = _named("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = _named("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor = _named("linalg_ldl_factor", "LD", "pivots")
linalg_ldl_factor_ex = _named("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = _named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = _named("linalg_lu", "P", "L", "U")
linalg_lu_factor = _named("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = _named("linalg_lu_factor_ex", "LU", "pivots", "info")
linalg_qr = _named("linalg_qr", "Q", "R")
linalg_slogdet = _named("linalg_slogdet", "sign", "logabsdet")
linalg_solve_ex = _named("linalg_solve_ex", "result", "info")
linalg_svd = _named("linalg_svd", "U", "S", "Vh")
lu_unpack = _named("lu_unpack", "P", "L", "U")
max = _named("max", "values", "indices")
median = _named("median", "values", "indices")
min = _named("min", "values", "indices")
mode = _named("mode", "values", "indices")
nanmedian = _named("nanmedian", "values", "indices")
qr = _named("qr", "Q", "R")
slogdet = _named("slogdet", "sign", "logabsdet")
sort = _named("sort", "values", "indices")
svd = _named("svd", "U", "S", "V")
topk = _named("topk", "values", "indices")
triangular_solve = _named("triangular_solve", "solution", "cloned_coefficient")
