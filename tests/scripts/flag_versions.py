# SPDX-License-Identifier: GPL-3.0-or-later
# Flag commands and flag versions of a Multi-MS.
import os

from casatasks import flagcmd, flagdata, flagmanager, partition

mms = "versions.mms"
partition("ngc5921.ms", mms, separationaxis="auto", numsubms=4)
print("created with:", flagmanager(mms, mode="list")[0]["name"])


def flagged():
    report = flagdata(mms, mode="summary")
    return int(report["flagged"])


with open("commands.txt", "w") as f:
    f.write("# from the observer's log\n"
            "scan='1' antenna='1&5' reason='bad phase'\n"
            "mode='manual' spw='0:5~8' timerange='<1995/04/13/09:40:00' reason='interference'\n"
            "mode='clip' correlation='ABS_LL' clipminmax=[0.0,70.0] reason='amplitude'\n"
            "mode='elevation' lowerlimit=30.0 reason='low'\n")

print("at first", flagged())
listed = flagcmd(vis=mms, inpmode="list", inpfile="commands.txt", action="list", useapplied=True)
print("listed", [sorted(listed[key].items()) for key in sorted(listed)] if isinstance(listed, dict) else listed)
flagcmd(vis=mms, inpmode="list", inpfile="commands.txt", reason="bad phase", action="apply", flagbackup=False)
print("one reason", flagged())
flagcmd(vis=mms, inpmode="list", inpfile="commands.txt", action="apply", flagbackup=True)
print("all", flagged())
flagmanager(mms, mode="save", versionname="after_log", comment="flags of the log", merge="replace")
flagdata(mms, mode="manual", field="0", flagbackup=True)
print("field 0", flagged())
versions = flagmanager(mms, mode="list")
for key in sorted(k for k in versions if k != "MS"):
    print(key, versions[key]["name"], "|", versions[key]["comment"] if versions[key]["name"] == "after_log" else "")
flagmanager(mms, mode="restore", versionname="after_log")
print("restored", flagged())
flagmanager(mms, mode="rename", oldname="after_log", versionname="log", comment="renamed")
flagmanager(mms, mode="delete", versionname="partition_1" if "partition_1" in [versions[k]["name"] for k in versions if k != "MS"] else "flagcmd_1")
versions = flagmanager(mms, mode="list")
print(sorted(versions[key]["name"] for key in versions if key != "MS"))
try:
    flagmanager(mms, mode="restore", versionname="nothing")
    print("restored nothing")
except Exception as problem:
    print("refused")
flagmanager(mms, mode="restore", versionname="log", merge="and")
flagmanager(mms, mode="restore", versionname="log", merge="or")
print("merged", flagged())

# Commands kept in the table FLAG_CMD.
flagcmd(vis=mms, inpmode="list", inpfile=["scan='2' antenna='3'", "scan='3' antenna='4'"], action="list", savepars=True)
table_rows = flagcmd(vis=mms, inpmode="table", action="list", useapplied=True)
flagcmd(vis=mms, inpmode="table", action="apply", tablerows=[0], flagbackup=False)
print("from the table", flagged())
flagcmd(vis=mms, inpmode="table", action="unapply", useapplied=True, tablerows=[0], flagbackup=False)
print("unapplied", flagged())
flagcmd(vis=mms, inpmode="table", action="clear", clearall=True)
flagdata(mms, mode="unflag", flagbackup=False)
print("in the end", flagged(), os.path.isdir(mms + ".flagversions"))
