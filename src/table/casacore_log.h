/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * casacore_log.h - casacore's own messages go to base/log.
 *
 * casacore writes to standard error unless it is told otherwise. After sheaf_casacore_log_install
 * its messages carry Sheaf's format, priority and place. Messages that are untrue or of no use to
 * somebody who reduces data (the age of the leap second table, searched directories) become DEBUG.
 * Thread-safe. */
#ifndef SHEAF_TABLE_CASACORE_LOG_H
#define SHEAF_TABLE_CASACORE_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Installs the sink, once per process; later calls do nothing. */
void sheaf_casacore_log_install(void);

#ifdef __cplusplus
}
#endif
#endif
