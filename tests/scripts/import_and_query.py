# SPDX-License-Identifier: GPL-3.0-or-later
# From a UVFITS file to numbers: import, look at tables, query them.
import os

import numpy as np
from casatasks import importuvfits, listpartition, partition
from casatools import ms, table

importuvfits(fitsfile="ngc5921.fits", vis="in.ms")
print(sorted(name for name in os.listdir("in.ms") if name.isupper() and os.path.isdir("in.ms/" + name)))
tb = table()
tb.open("in.ms")
print(tb.nrows(), tb.ncols(), tb.info()["type"], tb.isscalarcol("TIME"), tb.isvarcol("DATA"), tb.coldatatype("DATA"))
print(tb.getcolkeyword("UVW", "QuantumUnits"), tb.getcolkeyword("TIME", "MEASINFO"))
print(tb.getcolshapestring("DATA", 0, 2), tb.getcell("UVW", 100), tb.getcell("DATA", 100)[:, 30])
one = tb.query("FIELD_ID==0 AND ANTENNA1==0 AND ANTENNA2==3", sortlist="TIME", columns="TIME,UVW,DATA,SCAN_NUMBER")
print(one.nrows(), one.colnames(), one.getcol("SCAN_NUMBER"), one.getcol("DATA").shape, "%.6f" % np.abs(one.getcol("DATA")).mean())
one.close()
counts = tb.taql("select distinct SCAN_NUMBER, FIELD_ID from in.ms")
print(counts.getcol("SCAN_NUMBER"), counts.getcol("FIELD_ID"), counts.nrows())
counts.close()
tb.close()
tb.open("in.ms/ANTENNA")
print(tb.getcol("NAME")[:4], tb.getcol("STATION")[:4], tb.getcol("POSITION")[:, 0], tb.getcol("DISH_DIAMETER")[:2])
tb.close()
tb.open("in.ms/SPECTRAL_WINDOW")
print(tb.getcol("NUM_CHAN"), "%.3f %.3f" % (tb.getcell("CHAN_FREQ", 0)[0], tb.getcell("CHAN_WIDTH", 0)[0]), tb.getcell("NAME", 0), tb.getcol("TOTAL_BANDWIDTH"))
tb.close()
tb.open("in.ms/FIELD")
for row in range(tb.nrows()):
    print(row, tb.getcell("NAME", row), tb.getcell("CODE", row), tb.getcell("PHASE_DIR", row).ravel().tolist())
tb.close()

partition(vis="in.ms", outputvis="in.mms", separationaxis="baseline", numsubms=5, flagbackup=False)
for i, entry in sorted(listpartition(vis="in.mms", createdict=True).items()):
    print(i, os.path.basename(entry["MS"]), sum(scan["nrows"] for scan in entry["scanId"].values()), sorted(entry["scanId"]),
          [int(spw) for spw in entry["scanId"][1]["spwIds"]] if 1 in entry["scanId"] else None)
listpartition(vis="in.mms", createdict=False, listfile="parts.txt")
with open("parts.txt") as f:
    lines = f.read().splitlines()
print(len(lines), lines[1].split()[:1] if len(lines) > 1 else None)
tb.open("in.mms")
a = tb.getcol("TIME")
print(tb.nrows(), "%.3f %.3f" % (a.min(), a.max()), tb.getkeyword("MS_VERSION"), tb.info()["subType"])
some = tb.query("ANTENNA1==2 && ANTENNA2==5 && SCAN_NUMBER IN [2,4]")
print(some.nrows(), "%.5f" % some.getcol("DATA").real.sum())
some.close()
tb.close()

m = ms()
m.open("in.mms")
m.selectinit(0)
print(m.msselect({"field": "N5921*", "baseline": "1&2;3&7"}), m.nrow(True))
wanted = m.range(["antenna1", "antenna2", "fields", "num_chan", "ref_frequency"])
print(sorted((key, np.asarray(value).tolist()) for key, value in wanted.items()))
m.selectchannel(3, 10, 10, 15)
d = m.getdata(["data", "flag", "weight", "axis_info", "uvdist"])
print(d["data"].shape, "%.6f" % np.abs(d["data"]).sum(), d["flag"].sum(), "%.4f" % d["weight"].sum(), d["axis_info"]["corr_axis"],
      ["%.1f" % f for f in d["axis_info"]["freq_axis"]["chan_freq"].ravel()], "%.3f" % d["uvdist"].max())
m.close()
m.open("in.ms")
md = m.metadata()
print(md.nscans(), md.fieldnames(), md.fieldsforscan(2), md.scansforfield(2), md.nchan(0), md.antennanames([0, 1]), len(md.timesforscan(1)))
md.done()
m.close()
