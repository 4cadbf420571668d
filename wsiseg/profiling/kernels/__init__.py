"""Counters of GPU kernels: nvprof's on a TX2 and older GPUs, Nsight Compute's on newer ones."""
