/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_variants.h - the flagging kernels in their vector variants; internal, for flag_*.c and the
 * tests. */
#ifndef SHEAF_KERNEL_FLAG_VARIANTS_H
#define SHEAF_KERNEL_FLAG_VARIANTS_H

#include "kernel/flag_clip.h"
#include "kernel/flag_rflag.h"
#include "kernel/flag_tfcrop.h"

typedef struct sheaf_flag_variant {
  const char *name;
  int64_t (*tfcrop)(const sheaf_flag_view *, const sheaf_flag_maps *, const sheaf_flag_quantity *,
                    int, sheaf_flag_operator, const sheaf_flag_tfcrop_options *, void *);
  void (*crop_means)(sheaf_flag_crop *, const sheaf_flag_view *, const sheaf_flag_maps *, int64_t);
  void (*crop_fit)(sheaf_flag_crop *);
  int64_t (*crop_flag)(sheaf_flag_crop *, const sheaf_flag_view *, const sheaf_flag_maps *);
  void (*crop_times)(sheaf_flag_crop *, int, float *, int64_t, int64_t);
  int64_t (*crop_marks)(const sheaf_flag_crop *, const sheaf_flag_view *, const sheaf_flag_maps *,
                        int, const float *, int64_t, int64_t);
  void (*statistics)(const sheaf_flag_view *, const uint8_t *, const sheaf_flag_maps *,
                     const sheaf_flag_quantity *, int, const sheaf_flag_statistics *, void *);
  int64_t (*apply)(const sheaf_flag_view *, const uint8_t *, const sheaf_flag_maps *,
                   const sheaf_flag_quantity *, int, const sheaf_flag_spectrum *,
                   const sheaf_flag_rflag_options *, void *);
  int64_t (*clip)(const sheaf_flag_view *, const int64_t *, int64_t, const sheaf_flag_quantity *,
                  int, sheaf_flag_operator, const sheaf_flag_clip_options *);
} sheaf_flag_variant;

extern const sheaf_flag_variant sheaf_flag_variant_plain;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SHEAF_FLAG_X86 1
extern const sheaf_flag_variant sheaf_flag_variant_avx2, sheaf_flag_variant_avx512;
#endif

/* Variant i that this processor can run, best first; NULL past the last. */
const sheaf_flag_variant *sheaf_flag_variant_get(int i);

#endif
