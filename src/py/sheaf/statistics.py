# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of a table's column, as table.statistics gives them."""

PARTS = {"amp": abs, "amplitude": abs, "real": lambda a: a.real, "imag": lambda a: a.imag, "imaginary": lambda a: a.imag,
         "phase": None}


def of_values(values):
    """The statistics of numbers, that are taken in single precision and summed in double precision."""
    import numpy as np

    v = np.sort(np.asarray(values).ravel().astype(np.float32))
    n = v.size
    if n == 0:
        raise RuntimeError("the column has no values")
    wide = v.astype(np.float64)
    total, squares, mean = wide.sum(), (wide * wide).sum(), wide.mean()
    variance = ((wide - mean) ** 2).sum() / (n - 1) if n > 1 else 0.0

    def middle(ordered):
        return float((ordered[(n - 1) // 2] + ordered[n // 2]) / np.float32(2))

    def quantile(fraction):
        return wide[max(int(np.ceil(fraction * n)) - 1, 0)]

    median = middle(v)
    return {"max": float(wide[-1]), "mean": float(mean), "medabsdevmed": middle(np.sort(abs(v - np.float32(median)))),
            "median": median, "min": float(wide[0]), "npts": float(n), "quartile": float(quantile(0.75) - quantile(0.25)),
            "rms": float(np.sqrt(squares / n)), "stddev": float(np.sqrt(variance)), "sum": float(total), "sumsq": float(squares),
            "var": float(variance)}


def of_column(tb, column, complex_value=""):
    """{name: statistics}: one for the whole of a column, or one for each element where cells have one axis."""
    import numpy as np

    if "complex" in tb.coldatatype(column) and complex_value not in PARTS:
        raise RuntimeError(f"complex_value must be amp, amplitude, phase, imag, imaginary or real, is {complex_value}")
    try:
        values = tb.getcol(column)
    except RuntimeError:
        if tb.isscalarcol(column):
            raise
        # Cells of different shapes, or without a value.
        cells = tb.getvarcol(column).values()
        values = np.concatenate([cell.ravel() for cell in cells if isinstance(cell, np.ndarray)] or [np.zeros(0)])
    if values.dtype.kind == "U":
        raise RuntimeError(f"column {column} holds strings, which have no statistics")
    if values.dtype.kind == "c":
        values = np.angle(values.astype(np.complex64)) if complex_value == "phase" else PARTS[complex_value](values.astype(np.complex64))
    if values.ndim == 2:
        return {f"{column}_{i}": of_values(row) for i, row in enumerate(values)}
    return {column: of_values(values)}
