# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws pictures of flags and flag commands from what C has left in a directory: `flagplots.py DIRECTORY` reads
request.json there, and writes PNG files. It is a program of its own (src/flag/plotchild.c), and imports nothing of Sheaf."""

import datetime
import json
import os
import sys

NO_MATPLOTLIB = 3
FLAGGED = "#d62728"


def _load():
    """matplotlib.pyplot and numpy without a window; ends the program where they are missing."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        import numpy
        from matplotlib import pyplot
    except ImportError as problem:
        print(problem, file=sys.stderr)
        sys.exit(NO_MATPLOTLIB)
    return pyplot, numpy


def _date(mjd_s):
    return datetime.datetime(1858, 11, 17) + datetime.timedelta(seconds=mjd_s)


def _array(folder, numpy, where, dtype):
    """An array of a raw file: where is [offset in bytes, shape]."""
    offset, shape = where
    return numpy.fromfile(os.path.join(folder, "arrays"), dtype, int(numpy.prod(shape)), offset=offset).reshape(shape)


def _save(pyplot, figure, folder, name):
    figure.savefig(os.path.join(folder, name), dpi=100)
    pyplot.close(figure)


def draw_waterfall(pyplot, numpy, folder, picture):
    """One row of panels for each baseline: every correlation before and after, flagged samples in red."""
    rows = picture["baselines"]
    corrs = picture["correlations"]
    # Fixed margins: matplotlib's own layout takes ten times as long as the drawing.
    size = 1.0 + 3.2 * 2 * len(corrs), 1.2 + 2.7 * len(rows)
    figure, axes = pyplot.subplots(len(rows), 2 * len(corrs), squeeze=False, sharex=True, figsize=size, gridspec_kw={
        "left": 0.7 / size[0], "right": 1 - 0.2 / size[0], "bottom": 0.5 / size[1], "top": 1 - 0.7 / size[1], "hspace": 0.2})
    colours = pyplot.get_cmap("viridis").copy()
    colours.set_bad(FLAGGED)
    for line, row in zip(axes, rows):
        shape = row["shape"]  # corr, time, chan
        data = _array(folder, numpy, [row["data"], shape], numpy.float32)
        flags = [_array(folder, numpy, [row[key], shape], numpy.uint8) != 0 for key in ("before", "after")]
        for c, corr in enumerate(corrs):
            good = data[c][~flags[0][c] & numpy.isfinite(data[c])]
            low, high = numpy.percentile(good, [1, 99]) if good.size else (0, 1)
            for k, when in enumerate(("before", "after")):
                axis = line[2 * c + k]
                shown = numpy.ma.array(data[c], mask=flags[k][c] | ~numpy.isfinite(data[c]))
                axis.imshow(shown, aspect="auto", origin="lower", interpolation="nearest", cmap=colours, vmin=low,
                            vmax=high if high > low else low + 1, extent=(-0.5, row["nchan"] - 0.5, 0, row["span_s"]))
                axis.set_title(f"{row['name']} {corr} {when}: {100 * flags[k][c].mean():.1f} %", fontsize=8)
                axis.tick_params(labelsize=7)
        line[0].set_ylabel("time [s]", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("channel", fontsize=8)
    figure.suptitle(picture["title"] + "   (amplitude; red: flagged)", fontsize=9)
    _save(pyplot, figure, folder, picture["file"])


def _bars(axis, labels, before, after, title):
    places = range(len(labels))
    axis.bar(places, after, 0.8, color=FLAGGED, label="after")
    axis.bar(places, before, 0.5, color="0.35", label="before")
    step = max(1, len(labels) // 25)
    axis.set_xticks(list(places)[::step], labels[::step], fontsize=7, rotation=90)
    axis.set_ylim(0, 100)
    axis.set_ylabel("flagged [%]", fontsize=8)
    axis.set_title(title, fontsize=9)


def draw_report(pyplot, numpy, folder, picture):
    """Flagged fractions by antenna, scan and channel; thresholds."""
    spws, thresholds = picture["spws"], picture["thresholds"]
    count = 2 + len(spws) + len(thresholds)
    figure, axes = pyplot.subplots(count, 1, squeeze=False, constrained_layout=True, figsize=(10, 2.4 * count + 0.6))
    axes = list(axes[:, 0])

    def percent(part):
        return 100 * numpy.array(part["flagged"], float) / numpy.maximum(numpy.array(part["total"], float), 1)
    for key in ("antenna", "scan"):
        before, after = picture["before"][key], picture["after"][key]
        _bars(axes.pop(0), before["names"], percent(before), percent(after), f"flagged by {key}")
    for spw in spws:
        axis = axes.pop(0)
        before, after = (percent(picture[when]["spw"][spw]) for when in ("before", "after"))
        axis.step(range(len(after)), after, where="mid", color=FLAGGED, label="after")
        axis.step(range(len(before)), before, where="mid", color="0.35", label="before")
        axis.set_ylim(0, 100)
        axis.set_ylabel("flagged [%]", fontsize=8)
        axis.set_title(f"flagged by channel, spectral window {spw}", fontsize=9)
        axis.legend(fontsize=7)
    for name, rows in thresholds.items():
        axis = axes.pop(0)
        axis.bar(range(len(rows)), [row[2] for row in rows], color="tab:blue")
        axis.set_xticks(range(len(rows)), [f"field {row[0]:g}\nspw {row[1]:g}" for row in rows], fontsize=7)
        axis.set_title(f"threshold {name}", fontsize=9)
    figure.suptitle(picture["title"], fontsize=10)
    _save(pyplot, figure, folder, picture["file"])


def draw_commands(pyplot, numpy, folder, picture):
    """A line of bars for each antenna, coloured by reason, on pages of so many lines."""
    names, lines = picture["antennas"], picture["lines"]
    order = sorted(range(len(names)), key=lambda k: names[k])
    for page, first in enumerate(range(0, max(len(order), 1), lines)):
        _draw_page(pyplot, folder, picture, order[first:first + lines], f"{page}.png")


def _draw_page(pyplot, folder, picture, order, file):
    """The lines of these antennas; the time of the MS is shaded."""
    from matplotlib import dates

    names, reasons = [picture["antennas"][k] for k in order], picture["reasons"]
    line_of = {k: line for line, k in enumerate(order)}
    span = [dates.date2num(_date(picture[key])) for key in ("start_s", "end_s")]
    figure, axis = pyplot.subplots(constrained_layout=True, figsize=(11, 1.8 + 0.24 * max(len(names), 4)))
    axis.axvspan(*span, color="0.9", zorder=0)
    colours = pyplot.get_cmap("tab10" if len(reasons) <= 10 else "tab20")
    height = 0.8 / max(len(reasons), 1)
    first, last = span
    for i, reason in enumerate(reasons):
        places, lefts, widths = [], [], []
        for place, ranges in picture["ranges"][i]:
            for start, end in ranges if place in line_of else ():
                left, right = dates.date2num(_date(start)), dates.date2num(_date(end))
                places.append(line_of[place] + (i - (len(reasons) - 1) / 2) * height)
                lefts.append(left)
                widths.append(right - left)
                first, last = min(first, left), max(last, right)
        # Bars have a seam, so that short ones are seen, too.
        axis.barh(places, widths, height, left=lefts, color=colours(i % colours.N), linewidth=0.6,
                  edgecolor=colours(i % colours.N), label=reason or "(no reason)")
    axis.xaxis_date()
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))
    axis.set_yticks(range(len(names)), names, fontsize=7)
    margin = 0.02 * (last - first)
    axis.set_xlim(first - margin, last + margin)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", alpha=0.3)
    axis.set_title(picture["title"], fontsize=9)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _save(pyplot, figure, folder, file)


DRAW = {"waterfall": draw_waterfall, "report": draw_report, "commands": draw_commands}


def main(folder):
    """Draws all pictures of the request."""
    pyplot, numpy = _load()
    if folder == "--check":
        return
    with open(os.path.join(folder, "request.json"), encoding="utf-8") as request:
        pictures = json.load(request)["pictures"]
    for picture in pictures:
        DRAW[picture["kind"]](pyplot, numpy, folder, picture)


if __name__ == "__main__":
    main(sys.argv[1])
