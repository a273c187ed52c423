/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * program.h - the program `sheaf` behind its loader (sheaf.c), which is light so that --version
 * answers at once. */
#ifndef SHEAF_CLI_PROGRAM_H
#define SHEAF_CLI_PROGRAM_H

/* Does what the command line says and returns the exit status. */
int sheaf_program(int argc, char **argv);

#endif
