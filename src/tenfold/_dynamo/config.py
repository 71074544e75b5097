"""`torch._dynamo.config`: settings that programs write. They are kept; none of them changes what tenfold does."""

suppress_errors = False
verbose = False
cache_size_limit = recompile_limit = 64
accumulated_cache_size_limit = accumulated_recompile_limit = 256
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
assume_static_by_default = True
automatic_dynamic_shapes = True
dynamic_shapes = True
specialize_int = specialize_float = True
error_on_recompile = False
guard_nn_modules = True
inline_inbuilt_nn_modules = True
optimize_ddp = True
