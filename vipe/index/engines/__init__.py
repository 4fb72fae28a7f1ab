"""What finds the neighbours: one engine a module, by the name that a recipe gives (`engine = "faiss_cpu"`).

A new engine is a class with the methods of `Engine`, its name in `ENGINES` and among those that `Recipe.engine` takes.
"""

from vipe.index.engines.engine import Engine
from vipe.index.engines.faiss_cagra import FaissCagra
from vipe.index.engines.faiss_cpu import FaissCPU
from vipe.index.engines.faiss_gpu import FaissGPU, gpu_number

__all__ = ["ENGINES", "Engine", "FaissCPU", "FaissCagra", "FaissGPU", "gpu_number"]

ENGINES: dict[str, type[Engine]] = {"faiss_cpu": FaissCPU, "faiss_cagra": FaissCagra}
