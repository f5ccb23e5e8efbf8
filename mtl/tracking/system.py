"""Processor, memory, disk, network and GPU every so many seconds, measured by MLflow and written like all else."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

from mtl.tracking.store import quiet


class SystemMetrics:
    """A thread that measures from `start` to `finish`.

    Args:
        write: takes the values and their step.
        seconds: between two measurements.
        began: when the run began (seconds since 1970): the step is the number of intervals since, also of a run that
            goes on.
    """

    def __init__(self, write: Callable[[Mapping[str, float], int], None], seconds: float, began: float) -> None:
        self._write, self._seconds, self._began = write, seconds, began
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mtl-system", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        quiet()
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with contextlib.suppress(Exception):  # no GPU, or nothing installed that could ask it
            monitors.append(GPUMonitor())
        while not self._over.wait(self._seconds):
            values: dict[str, float] = {}
            for monitor in monitors:
                monitor.collect_metrics()
                values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            self._write(values, round((time.time() - self._began) / self._seconds))
