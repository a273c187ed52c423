/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_variants.h"

const sheaf_flag_variant *sheaf_flag_variant_get(int i) {
#ifdef SHEAF_FLAG_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && i-- == 0)
    return &sheaf_flag_variant_avx512;
  if (__builtin_cpu_supports("avx2") && i-- == 0) return &sheaf_flag_variant_avx2;
#endif
  return i == 0 ? &sheaf_flag_variant_plain : NULL;
}

int64_t sheaf_flag_tfcrop(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                          const sheaf_flag_quantity *quantity, int nquantity,
                          sheaf_flag_operator op, const sheaf_flag_tfcrop_options *options,
                          void *scratch) {
  return sheaf_flag_variant_get(0)->tfcrop(view, maps, quantity, nquantity, op, options, scratch);
}

void sheaf_flag_crop_means(sheaf_flag_crop *crop, const sheaf_flag_view *view,
                           const sheaf_flag_maps *maps, int64_t row0) {
  sheaf_flag_variant_get(0)->crop_means(crop, view, maps, row0);
}

void sheaf_flag_crop_fit(sheaf_flag_crop *crop) {
  sheaf_flag_variant_get(0)->crop_fit(crop);
}

int64_t sheaf_flag_crop_flag(sheaf_flag_crop *crop, const sheaf_flag_view *view,
                             const sheaf_flag_maps *maps) {
  return sheaf_flag_variant_get(0)->crop_flag(crop, view, maps);
}

void sheaf_flag_crop_times(sheaf_flag_crop *crop, int q, float *values, int64_t width,
                           int64_t from) {
  sheaf_flag_variant_get(0)->crop_times(crop, q, values, width, from);
}

int64_t sheaf_flag_crop_marks(const sheaf_flag_crop *crop, const sheaf_flag_view *view,
                              const sheaf_flag_maps *maps, int q, const float *values,
                              int64_t width, int64_t from) {
  return sheaf_flag_variant_get(0)->crop_marks(crop, view, maps, q, values, width, from);
}

void sheaf_flag_rflag_statistics(const sheaf_flag_view *view, const uint8_t *original,
                                 const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                 int nquantity, const sheaf_flag_statistics *out, void *scratch) {
  sheaf_flag_variant_get(0)->statistics(view, original, maps, quantity, nquantity, out, scratch);
}

void sheaf_flag_rflag_spectra(const sheaf_flag_view *view, const uint8_t *original,
                              const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                              int nquantity, sheaf_flag_spectrum *spectra, void *scratch) {
  const sheaf_flag_statistics out = {.medians = 1, .spectra = spectra};
  sheaf_flag_rflag_statistics(view, original, maps, quantity, nquantity, &out, scratch);
}

void sheaf_flag_rflag_time_sums(const sheaf_flag_view *view, const uint8_t *original,
                                const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                int nquantity, int winsize, const sheaf_flag_sums *sums,
                                void *scratch) {
  const sheaf_flag_statistics out = {.time = sums, .winsize = winsize};
  sheaf_flag_rflag_statistics(view, original, maps, quantity, nquantity, &out, scratch);
}

void sheaf_flag_rflag_freq_sums(const sheaf_flag_view *view, const uint8_t *original,
                                const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                int nquantity, const sheaf_flag_spectrum *spectra,
                                const sheaf_flag_sums *sums, void *scratch) {
  /* only read, as .medians is 0 */
  const sheaf_flag_statistics out = {.spectra = (sheaf_flag_spectrum *)(uintptr_t)spectra,
                                     .freq = sums};
  sheaf_flag_rflag_statistics(view, original, maps, quantity, nquantity, &out, scratch);
}

int64_t sheaf_flag_rflag_apply(const sheaf_flag_view *view, const uint8_t *original,
                               const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                               int nquantity, const sheaf_flag_spectrum *spectra,
                               const sheaf_flag_rflag_options *options, void *scratch) {
  return sheaf_flag_variant_get(0)->apply(view, original, maps, quantity, nquantity, spectra,
                                          options, scratch);
}

int64_t sheaf_flag_clip(const sheaf_flag_view *view, const int64_t *row, int64_t n,
                        const sheaf_flag_quantity *quantity, int nquantity, sheaf_flag_operator op,
                        const sheaf_flag_clip_options *options) {
  return sheaf_flag_variant_get(0)->clip(view, row, n, quantity, nquantity, op, options);
}
