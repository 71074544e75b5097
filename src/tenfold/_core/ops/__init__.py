"""The operations, a file for each family; declare.py holds the decorators that make them public.

A declaration carries signature, docstring, rule, NumPy meaning or composition, and gradient. Importing this package
fills `declare.PUBLIC`, from which the namespaces, Tensor's methods, in-place variants and `out=` are derived."""

from importlib import import_module

FAMILIES = ("devices", "creation", "elementwise", "comparison", "power", "mathematics", "complex_numbers", "shape", "views", "splitting", "view_writes", "handle_changes", "conversion", "indexing", "masking", "gathering", "index_writes", "joining", "arranging", "activation", "reduction", "special", "polynomials", "extremes", "scan", "statistics", "sorting", "sets", "quantiles", "norms", "matmul", "contraction", "conv", "padding", "pooling", "generators", "random", "sequences", "exchange", "window_functions", "adaptive", "resample", "fold", "grid", "linalg_solve", "linalg_decompose", "linalg", "softmax", "loss", "loss_classes", "embedding", "norm", "dropout", "distance", "attention", "loss_margin", "loss_ctc", "recurrent")

for _family in FAMILIES:
    import_module(f"{__name__}.{_family}")
