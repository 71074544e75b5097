"""The compiler's end: kernels as LLVM IR, machine code, and what calls it. llvmlite is imported when something is compiled."""
