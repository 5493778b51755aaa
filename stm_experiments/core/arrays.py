"""Names of the NumPy arrays that functions take and return."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
AnyArray = NDArray[Any]  # real numbers of any type
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
Labels = NDArray[np.int64]
Points = NDArray[np.float64]  # [P, 2]: (row, column), px
