/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagdata.h - the parameter table of flagdata, which flag commands share. */
#ifndef SHEAF_TASK_FLAGDATA_H
#define SHEAF_TASK_FLAGDATA_H

#include <stddef.h>

#include "base/params.h"

const sheaf_param *sheaf_flagdata_params(size_t *n);

#endif
