/* SPDX-License-Identifier: GPL-3.0-or-later */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2")
#define LANES_BYTES 32
#define name name##_avx2

#include "kernel/flag_lanes_clip.h"
#include "kernel/flag_lanes_rflag.h"
#include "kernel/flag_lanes_tfcrop.h"
#include "kernel/flag_variants.h"

const sheaf_flag_variant sheaf_flag_variant_avx2 = {
    .name = "avx2",
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
#else
extern int sheaf_flag_variant_avx2_is_empty;
#endif
