"""Random programs on tensors: the same abstract program runs on any module with PyTorch's API.

In: a program, a list of (step name, number); the number's digits are the step's choices, resolved against the
shapes that are there when it runs. Out: an `Outcome`: what each step did, and all live tensors and gradients then.

    executor.py  runs a program, and writes down the statements that it came to
    steps.py     the steps that make tensors, and those that read them; writing.py those that write in place
    exactness.py which values are computed exactly, so that comparing and sorting them is safe
    compare.py   two outcomes held against each other
    drawing.py   programs drawn from a seed, or by hypothesis
    archive.py   programs with recorded outcomes, in one compact file
"""
