/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * terminal.h - standard error, shared by log lines and the progress bar.
 *
 * Only log.c and progress.c use it: text is written above the bar, which is erased before and drawn
 * again after. Thread-safe; a write is never interleaved with another one of this process. */
#ifndef SHEAF_BASE_TERMINAL_H
#define SHEAF_BASE_TERMINAL_H

#include <stddef.h>

/* Whether anything at all is written (default: yes). */
void sheaf_terminal_enable(int on);
/* 1 when a bar can be shown: enabled, and standard error is a terminal. */
int sheaf_terminal_has_bar(void);
/* Columns of the terminal; 80 when it does not tell. */
int sheaf_terminal_width(void);
/* Writes whole lines. */
void sheaf_terminal_write(const char *text, size_t n);
/* Shows one line (without newline) as the bar, in place of the one before; NULL removes it. */
void sheaf_terminal_bar(const char *line);

/* Around a fork (progress.c): the locks of log and terminal are taken in the order in which they
 * nest, so that a child never inherits one that another thread held. */
void sheaf_log_fork(int before);
void sheaf_terminal_fork(int before);

#endif
