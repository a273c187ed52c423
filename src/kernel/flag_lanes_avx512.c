/* SPDX-License-Identifier: GPL-3.0-or-later */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,prefer-vector-width=512")
#define LANES_BYTES 64
#define name name##_avx512

#include "kernel/flag_lanes_clip.h"
#include "kernel/flag_lanes_rflag.h"
#include "kernel/flag_lanes_tfcrop.h"
#include "kernel/flag_variants.h"

const sheaf_flag_variant sheaf_flag_variant_avx512 = {
    .name = "avx512",
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
extern int sheaf_flag_variant_avx512_is_empty;
#endif
