"""System metrics of networks: time, memory, power, utilisation, kernels, on a desktop or on a Jetson.

    measure/ -> results.json -> report/        the machine at hand
    bundle/  -> run.py on the device -> results.tar.gz -> report/        a machine that runs no current Python

What cannot be read is "not available", with the reason and what to do about it, and never zero.
"""
