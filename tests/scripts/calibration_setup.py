# SPDX-License-Identifier: GPL-3.0-or-later
# What a pipeline does before it calibrates: weights, scratch columns, and the parts of an observation as one.
import os
import shutil

import numpy as np
from casatasks import clearcal, delmod, initweights, listobs, partition, virtualconcat
from casatools import table

tb = table()


def describe(vis):
    tb.open(vis)
    names = tb.colnames()
    print(os.path.basename(vis), tb.nrows(), [name for name in ("CORRECTED_DATA", "MODEL_DATA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM") if name in names])
    for name in ("WEIGHT", "SIGMA"):
        values = tb.getcol(name)
        print("  ", name, values.shape, "%.6g %.6g %.6g" % (values.min(), values.mean(), values.max()))
    for name in ("CORRECTED_DATA", "MODEL_DATA"):
        if name in names:
            values = tb.getcol(name)
            print("  ", name, values.shape, "%.5g %.5g" % (np.abs(values).mean(), values.real.mean()))
    tb.close()


parts = []
for i, scans in enumerate(("1~2", "3~5", "6~7")):
    part = "part%d.ms" % i
    partition(vis="ngc5921.ms", outputvis=part, createmms=False, scan=scans)
    parts.append(part)
    describe(part)

virtualconcat(vis=parts, concatvis="all.mms", keepcopy=True)
print(sorted(os.listdir("all.mms/SUBMSS")), os.path.exists(parts[0]))
describe("all.mms")
clearcal(vis="all.mms", addmodel=True)
initweights(vis="all.mms", wtmode="nyq", dowtsp=True)
describe("all.mms")
inner = "all.mms/SUBMSS/part1.ms"
tb.open(inner, nomodify=False)
tb.putcol("CORRECTED_DATA", tb.getcol("CORRECTED_DATA") * 2)
tb.putcol("MODEL_DATA", tb.getcol("MODEL_DATA") + 3)
tb.close()
describe("all.mms")
clearcal(vis=inner, field="1")
describe(inner)
initweights(vis="all.mms", wtmode="ones")
describe("all.mms")
delmod(vis="all.mms", otf=True, scr=True)
clearcal(vis="all.mms")
describe("all.mms")
info = listobs(vis="all.mms")
print(info["numrecords"], info["nfields"], sorted(info["scan_%d" % i]["0"]["nRow"] for i in range(1, 8)))

clearcal(vis=parts[0], addmodel=True)
initweights(vis=parts[0], wtmode="sigma", dowtsp=True)
describe(parts[0])
delmod(vis=parts[0], scr=True)
describe(parts[0])

partition(vis="ngc5921.ms", outputvis="spare.mms", numsubms=2, separationaxis="scan", flagbackup=False)
clearcal(vis="spare.mms", addmodel=True)
initweights(vis="spare.mms", wtmode="weight", dowtsp=True)
describe("spare.mms")
shutil.rmtree("spare.mms")
print(os.path.exists("spare.mms"))
