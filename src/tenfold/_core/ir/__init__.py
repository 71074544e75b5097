"""What every layer shares: dtypes and promotion, shapes and layouts, specs and graphs. Read in this order:

dtypes.py     element types, promotion
shapes.py     Size, Layout (shape, strides, dtype, device), broadcasting, result strides
operation.py  Operation, and Spec: an operation applied to given layouts and static arguments
graph.py      Graph: what a path or an operation's body computes, in order
"""
