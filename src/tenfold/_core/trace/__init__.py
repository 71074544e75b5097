"""Recording: every operation walks an edge of a tree; a flush runs the path. In the order of the data:

handle.py   Tensor (the bare handle), Storage, Value, Node, Walk (one for each thread)
walk.py     a handle becomes a value of the walk; edges are walked; views; writes in place
macro.py    bodies: a pure function of tensors as one edge, its graph and its gradient
flush.py    the walk ends: what is still referenced is computed and stored; histories for a later backward
watch.py    who runs programs instead, and `tenfold.explain`; profiling.py is what a profile records
"""
