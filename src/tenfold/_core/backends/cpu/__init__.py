"""The CPU backend: kernels written as LLVM IR and compiled in process."""
