"""Settings of all tests: eight CPU devices, and no silent broadcasting between ranks."""

import atexit
import shutil
import tempfile

import jax

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_disable_most_optimizations', True)  # Tests compile more than they compute.

# Many runs of one size: compile it once.
_cache = tempfile.mkdtemp()
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
jax.config.update('jax_compilation_cache_dir', _cache)
jax.config.update('jax_persistent_cache_min_compile_time_secs', .5)
