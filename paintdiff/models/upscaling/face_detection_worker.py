"""The disposable process that tries a face detector; started by `face_detection`.

OpenCV reads and runs networks in C++, and some files crash the process. This process gets the file
on its standard input, and exits with status 0 if it can detect faces with the file. The app reads
the file afterwards.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # isolated, so that neither a variable nor a folder chooses what we are
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_DETECTOR_MEMORY_BYTES, MAX_DETECTOR_SECONDS
from paintdiff.models.upscaling import messages


def main() -> int:
    """Read the network, and run it on an empty picture and one of noise."""
    leave_network()
    # OpenCV starts threads, and `leave_network` needs a single one: import it afterwards.
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from paintdiff.models.upscaling.face_detection import SIDE_PX, network_of  # noqa: PLC0415

    cv2.setNumThreads(1)
    limit_resources(MAX_DETECTOR_MEMORY_BYTES, file_bytes=0, seconds=MAX_DETECTOR_SECONDS)
    forbid_everything_else()
    shape = (SIDE_PX, SIDE_PX, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        network = network_of(np.frombuffer(sys.stdin.buffer.read(), np.uint8))
        for picture in (np.zeros(shape, np.uint8), noise):
            network.detect(picture)
    except Exception as error:
        is_ours = isinstance(error, ValueError)
        sys.stdout.write(str(error)[:500] if is_ours else messages.DAMAGED_OR_OTHER)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
