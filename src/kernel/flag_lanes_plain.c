/* SPDX-License-Identifier: GPL-3.0-or-later */
#define LANES_BYTES 16
#define name name##_plain

#include "kernel/flag_lanes_clip.h"
#include "kernel/flag_lanes_rflag.h"
#include "kernel/flag_lanes_tfcrop.h"
#include "kernel/flag_variants.h"

const sheaf_flag_variant sheaf_flag_variant_plain = {
    .name = "plain",
    .tfcrop = tfcrop,
    .statistics = statistics,
    .apply = apply,
    .clip = clip,
};
