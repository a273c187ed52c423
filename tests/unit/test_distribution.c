/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/distribution.h"

#include <jansson.h>

#include "support.h"

#define VECTORS SHEAF_SOURCE_DIR "/tests/expected/partition_vectors.json"

static sheaf_error err;
static json_t *vectors;

static int load(void **state) {
  (void)state;
  json_error_t at;
  vectors = json_load_file(VECTORS, 0, &at);
  return vectors ? 0 : -1;
}

static int unload(void **state) {
  (void)state;
  json_decref(vectors);
  return 0;
}

static json_int_t number(const json_t *array, size_t i) {
  return json_integer_value(json_array_get(array, i));
}

static void every_split_is_casas(void **state) {
  (void)state;
  size_t i;
  json_t *one, *list = json_object_get(vectors, "split");
  assert_true(json_array_size(list) > 100);
  json_array_foreach(list, i, one) {
    size_t first[256];
    const size_t length = (size_t)number(one, 0), n = (size_t)number(one, 1);
    sheaf_split_even(length, n, first);
    assert_int_equal(first[0], 0);
    assert_int_equal(first[n], length);
    for (size_t k = 0; k < n; k++)
      assert_int_equal(first[k + 1] - first[k], number(json_array_get(one, 2), k));
  }
}

static void ranges_are_written_as_casa_does(void **state) {
  (void)state;
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(vectors, "ranges"), i, one) {
    int32_t list[64];
    const json_t *in = json_array_get(one, 0);
    for (size_t k = 0; k < json_array_size(in); k++) list[k] = (int32_t)number(in, k);
    char *text = sheaf_range_text(list, json_array_size(in));
    assert_string_equal(text, json_string_value(json_array_get(one, 1)));
    free(text);
  }
}

/* One balanced distribution as C arrays. */
typedef struct example {
  size_t nsubscan, nddid;
  sheaf_subscan *subscans;
  double *nvis_row;
} example;

static example example_new(const json_t *one) {
  size_t i, k;
  json_t *value, *id;
  const json_t *subscans = json_object_get(one, "subscans");
  example e = {.nsubscan = json_array_size(subscans), .nddid = 128};
  e.subscans = calloc(e.nsubscan, sizeof *e.subscans);
  e.nvis_row = calloc(e.nddid, sizeof *e.nvis_row);
  json_array_foreach(subscans, i, value) {
    const json_t *ids = json_array_get(value, 3);
    sheaf_subscan *s = &e.subscans[i];
    s->scan = (int32_t)number(value, 0);
    s->field = (int32_t)number(value, 1);
    s->nrow = number(value, 2);
    s->nddid = json_array_size(ids);
    s->ddid = calloc(s->nddid, sizeof *s->ddid);
    json_array_foreach(ids, k, id) s->ddid[k] = (int32_t)json_integer_value(id);
  }
  json_array_foreach(json_object_get(one, "setups"), i, value) {
    assert_true(number(value, 0) < (json_int_t)e.nddid);
    e.nvis_row[number(value, 0)] = (double)(number(value, 1) * number(value, 2));
  }
  return e;
}

static void example_free(example *e) {
  for (size_t i = 0; i < e->nsubscan; i++) free(e->subscans[i].ddid);
  free(e->subscans);
  free(e->nvis_row);
}

static void check_part(const json_t *one, uint32_t part, const sheaf_pair *pairs, size_t npair) {
  const json_t *expected = json_array_get(json_object_get(one, "parts"), part);
  size_t seen = 0;
  double nvis = 0;
  for (size_t i = 0; i < npair; i++) {
    if (pairs[i].part != part) continue;
    const json_t *pair = json_array_get(expected, seen++);
    assert_int_equal(pairs[i].scan, number(pair, 0));
    assert_int_equal(pairs[i].ddid, number(pair, 1));
    nvis += pairs[i].nvis;
  }
  assert_int_equal(seen, json_array_size(expected));
  assert_float_equal(nvis, json_number_value(json_array_get(json_object_get(one, "nvis"), part)),
                     1e-6 * nvis);
}

static void every_balanced_distribution_is_casas(void **state) {
  (void)state;
  size_t i;
  json_t *one, *list = json_object_get(vectors, "balanced");
  assert_true(json_array_size(list) > 10);
  json_array_foreach(list, i, one) {
    example e = example_new(one);
    const size_t nexpected = json_array_size(json_object_get(one, "parts"));
    size_t npart = (size_t)json_integer_value(json_object_get(one, "wanted")), npair;
    sheaf_pair *pairs;
    assert_int_equal(sheaf_distribute_balanced(e.subscans, e.nsubscan, e.nvis_row, e.nddid, &npart,
                                               &pairs, &npair, &err),
                     0);
    assert_int_equal(npart, nexpected);
    for (uint32_t p = 0; p < npart; p++) check_part(one, p, pairs, npair);
    free(pairs);
    example_free(&e);
  }
}

/* No scans: nothing to share out, and no division by zero. */
static void nothing_gives_no_parts(void **state) {
  (void)state;
  size_t npart = 3, npair = 7;
  sheaf_pair *pairs;
  const double nvis_row[1] = {1};
  const sheaf_subscan none[1] = {{0}};
  assert_int_equal(sheaf_distribute_balanced(none, 0, nvis_row, 1, &npart, &pairs, &npair, &err),
                   0);
  assert_int_equal(npart, 0);
  assert_int_equal(npair, 0);
  free(pairs);
}

/* Every pair goes to exactly one part, whatever is asked for. */
static void each_pair_has_one_part(void **state) {
  (void)state;
  uint32_t seed = 1;
  for (int round = 0; round < 200; round++) {
    sheaf_subscan subscans[12];
    int32_t ddid[12][4];
    double nvis_row[4];
    for (int d = 0; d < 4; d++) nvis_row[d] = (double)((seed = seed * 1103515245 + 12345) >> 24);
    for (int s = 0; s < 12; s++) {
      seed = seed * 1103515245 + 12345;
      subscans[s] = (sheaf_subscan){.scan = s / 2 + 8,
                                    .field = s % 3,
                                    .nrow = seed >> 20,
                                    .nddid = 1 + seed % 4,
                                    .ddid = ddid[s]};
      for (int d = 0; d < 4; d++) ddid[s][d] = d;
    }
    size_t npart = 1 + seed % 30, npair;
    const size_t wanted = npart;
    sheaf_pair *pairs;
    assert_int_equal(
        sheaf_distribute_balanced(subscans, 12, nvis_row, 4, &npart, &pairs, &npair, &err), 0);
    assert_true(npart <= wanted && npart <= npair);
    for (size_t i = 0; i < npair; i++) {
      assert_true(pairs[i].part < npart);
      for (size_t k = 0; k < i; k++)
        assert_false(pairs[i].scan == pairs[k].scan && pairs[i].ddid == pairs[k].ddid);
    }
    free(pairs);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_split_is_casas),
      cmocka_unit_test(ranges_are_written_as_casa_does),
      cmocka_unit_test(every_balanced_distribution_is_casas),
      cmocka_unit_test(nothing_gives_no_parts),
      cmocka_unit_test(each_pair_has_one_part),
  };
  return cmocka_run_group_tests(tests, load, unload);
}
