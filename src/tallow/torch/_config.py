"""Settings of compilers that are not there: they can be set and change nothing."""

from __future__ import annotations

from tallow.torch._names import Settings

dynamo = Settings(
    verbose=False, suppress_errors=False, cache_size_limit=8, recompile_limit=8, optimize_ddp=True,
    capture_scalar_outputs=False, capture_dynamic_output_shape_ops=False,
    automatic_dynamic_shapes=True,
    assume_static_by_default=True, disable=False, compiled_autograd=False,
)  # fmt: skip
inductor = Settings(
    coordinate_descent_tuning=False, fx_graph_cache=True, assert_indirect_indexing=True,
    max_autotune=False, max_autotune_gemm=False, epilogue_fusion=True, debug=False,
    triton=Settings(unique_kernel_names=True, cudagraphs=False, cudagraph_trees=True),
    cpp=Settings(threads=-1), cuda=Settings(), freezing=False, force_fuse_int_mm_with_mul=False,
    use_mixed_mm=False, shape_padding=True, compile_threads=1,
)  # fmt: skip
functorch = Settings(enable_autograd_cache=True, donated_buffer=False, activation_memory_budget=1.0)
