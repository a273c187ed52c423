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
    .crop_means = crop_means,
    .crop_fit = crop_fit,
    .crop_flag = crop_stretch_flag,
    .crop_times = crop_times,
    .crop_marks = crop_marks,
    .statistics = statistics,
    .apply = apply,
    .clip = clip,
};
