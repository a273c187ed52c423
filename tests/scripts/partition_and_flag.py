# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a Multi-MS of an observation, lists it, flags it, and reports what is flagged.
import os

from casatasks import flagdata, listobs, listpartition, partition

vis, mms = "ngc5921.ms", "ngc5921.mms"

partition(vis=vis, outputvis=mms, separationaxis="scan", numsubms=3, flagbackup=False)
print("sub-MSs:", sorted(os.listdir(mms + "/SUBMSS")))

obs = listobs(vis=mms, listfile="listobs.txt")
print("records: %d, fields: %d, begin %.5f, end %.5f" % (obs["numrecords"], obs["nfields"], obs["BeginTime"], obs["EndTime"]))
for key in sorted(k for k in obs if k.startswith("field_")):
    ra, dec = obs[key]["direction"]["m0"]["value"], obs[key]["direction"]["m1"]["value"]
    print(key, obs[key]["name"], obs[key]["code"], "%.8f %.8f" % (ra, dec))
for key in sorted(k for k in obs if k.startswith("scan_")):
    for sub in sorted(obs[key]):
        one = obs[key][sub]
        print(key, sub, one["FieldName"], one["nRow"], "%.6f %.6f %.3f" % (one["BeginTime"], one["EndTime"], one["IntegrationTime"]), one["SpwIds"])
with open("listobs.txt") as listing:
    text = listing.read().splitlines()
print("lines in the listing:", len(text), "with antennas:", sum("VA" in line and "VLA" in line for line in text))

content = listpartition(vis=mms, createdict=True)
for i in sorted(content):
    print(i, os.path.basename(content[i]["MS"]), content[i]["size"] != "", sorted(content[i]["scanId"]),
          [content[i]["scanId"][scan]["nrows"] for scan in sorted(content[i]["scanId"])])

before = flagdata(vis=mms, mode="summary")
flagdata(vis=mms, mode="manual", antenna="2", scan="1~3", flagbackup=False)
flagdata(vis=mms, mode="manual", spw="0:0~2;60~62", flagbackup=False)
flagdata(vis=mms, mode="quack", quackinterval=30.0, quackmode="beg", flagbackup=False)
flagdata(vis=mms, mode="clip", correlation="ABS_RR", clipminmax=[0.0, 50.0], field="0", flagbackup=False)
flagdata(vis=mms, mode="manual", autocorr=True, flagbackup=False)
after = flagdata(vis=mms, mode="summary", spwchan=True, fieldcnt=True)
plain = flagdata(vis=mms, mode="summary", field="N*", antenna="1~3")
listed = flagdata(vis=mms, mode="list", inpfile=["mode='manual' scan='5' correlation='LL'", "mode='summary' name='both' scan='5~6'"],
                  flagbackup=False)


def show(name, report):
    print(name, "flagged %d of %d" % (report["flagged"], report["total"]))
    for what in ("field", "scan", "spw", "correlation", "antenna", "observation", "array"):
        for key in sorted(report.get(what, {})):
            print("  ", what, key, "%d/%d" % (report[what][key]["flagged"], report[what][key]["total"]))


show("before", before)
for field in sorted(k for k in after if isinstance(after[k], dict) and "antenna" in after[k]):
    show("after, " + field, after[field])
show("some", plain)
show("list", listed)
