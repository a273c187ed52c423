/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * threads.h - how many threads this process may use. */
#ifndef SHEAF_BASE_THREADS_H
#define SHEAF_BASE_THREADS_H

#ifdef __cplusplus
extern "C" {
#endif

/* OMP_NUM_THREADS when it is set to a number (mpisheaf sets it to 1), else the cores that this
 * process may run on. At least 1. */
int sheaf_threads(void);
/* The same without shares (below): of the whole process. */
int sheaf_threads_all(void);
/* The calling thread works beside others, so that `n` work in all (1: alone again): its share of
 * the threads is what sheaf_threads gives it from now on. */
void sheaf_threads_share(int n);

#ifdef __cplusplus
}
#endif
#endif
