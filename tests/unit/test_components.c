/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/components.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static const double light = 299792458.0, pi = 3.14159265358979323846;
static const double still[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

static sheaf_component component(sheaf_component_shape shape, const double *flux) {
  sheaf_component c = {.shape = shape, .major_rad = 3e-4, .minor_rad = 1e-4, .flux = flux};
  memcpy(c.rotation, still, sizeof still);
  return c;
}

static void test_points_at_the_centre(void **state) {
  const double freq[2] = {1e9, 2e9}, a[8] = {1, 2, 3, 4, 5, 6, 7, 8},
               b[8] = {0.5, 0, 0, 0, 0, 0, 0, -1};
  const sheaf_component c[2] = {component(SHEAF_COMPONENT_POINT, a),
                                component(SHEAF_COMPONENT_POINT, b)};
  const sheaf_component_setup s = {c, 2, freq, 2, 2};
  float vis[8];
  (void)state;
  assert_int_equal(sheaf_components_vary(&s), 0);
  sheaf_components_row(&s, (const double[3]){100, -200, 300}, vis);
  for (int i = 0; i < 8; i++) assert_float_equal(vis[i], a[i] + b[i], 0);
}

/* Components and channels in parts have the bits of all at once. */
static void test_parts(void **state) {
  const double freq[3] = {1e9, 1.3e9, 1.7e9}, a[6] = {1, 2, 3, 4, 5, 6},
               b[6] = {0.3, 0.7, -1, 2, 0.1, 0}, uvw[3] = {100, -2000, 31};
  sheaf_component c[2] = {component(SHEAF_COMPONENT_POINT, a),
                          component(SHEAF_COMPONENT_GAUSSIAN, b)};
  float all[6], parts[6] = {0};
  (void)state;
  c[0].path[1] = 0.01;
  sheaf_components_row(&(sheaf_component_setup){c, 2, freq, 3, 1}, uvw, all);
  for (int i = 0; i < 2; i++)
    for (int chan = 0; chan < 3; chan++) {
      sheaf_component one = c[i];
      one.flux += 2 * chan;
      sheaf_components_add(&(sheaf_component_setup){&one, 1, freq + chan, 1, 1}, uvw,
                           parts + 2 * chan);
    }
  assert_memory_equal(parts, all, sizeof all);
}

/* A quarter of a wavelength: the flux turns by 90 degrees. */
static void test_a_way_of_a_quarter(void **state) {
  const double freq[1] = {light}, flux[2] = {2, 0};
  sheaf_component c = component(SHEAF_COMPONENT_POINT, flux);
  const sheaf_component_setup s = {&c, 1, freq, 1, 1};
  float vis[2];
  (void)state;
  c.path[2] = 0.25;
  assert_int_equal(sheaf_components_vary(&s), 1);
  sheaf_components_row(&s, (const double[3]){7, 8, 1}, vis);
  assert_float_equal(vis[0], 0, 1e-6);
  assert_float_equal(vis[1], 2, 1e-6);
  c.path[2] = 0, c.path[0] = 0.25; /* u comes with the other sign */
  sheaf_components_row(&s, (const double[3]){1, 8, 1}, vis);
  assert_float_equal(vis[1], -2, 1e-6);
}

/* The visibility of a Gaussian is one half at 2 ln 2 / (pi width) wavelengths. */
static void test_widths(void **state) {
  const double freq[1] = {light}, flux[2] = {1, 0}, half = 2 * log(2.0) / (pi * 3e-4);
  sheaf_component c = component(SHEAF_COMPONENT_GAUSSIAN, flux);
  const sheaf_component_setup s = {&c, 1, freq, 1, 1};
  float vis[2];
  (void)state;
  sheaf_components_row(&s, (const double[3]){0, half, 0}, vis); /* the major axis points north */
  assert_float_equal(vis[0], 0.5, 1e-6);
  sheaf_components_row(&s, (const double[3]){3 * half, 0, 0}, vis);
  assert_float_equal(vis[0], 0.5, 1e-6);
  c.angle_rad = pi / 2; /* east */
  sheaf_components_row(&s, (const double[3]){-half, 0, 5}, vis);
  assert_float_equal(vis[0], 0.5, 1e-6);
  c.angle_rad = pi / 4;
  sheaf_components_row(&s, (const double[3]){half * sqrt(0.5), half * sqrt(0.5), 0}, vis);
  assert_float_equal(vis[0], 0.5, 1e-6);
  c = component(SHEAF_COMPONENT_DISK, flux);
  sheaf_components_row(&s, (const double[3]){0, 0, 0}, vis);
  assert_float_equal(vis[0], 1, 0);
  sheaf_components_row(&s, (const double[3]){0, 3.8317059702 / (pi * 3e-4), 0},
                       vis); /* a zero of J1 */
  assert_float_equal(vis[0], 0, 1e-6);
}

static double any(double low, double high) {
  return low + (high - low) * (double)rand() / RAND_MAX;
}

/* The sum over small patches of a shape, each a point. */
static double patches(const sheaf_component *c, double u, double v) {
  enum { N = 400 };
  double sum = 0, all = 0;
  for (int i = -N; i <= N; i++)
    for (int k = -N; k <= N; k++) {
      const double reach = c->shape == SHEAF_COMPONENT_DISK ? 0.5 : 2;
      const double x = reach * i / N, y = reach * k / N; /* along and across, in widths */
      const double weight = c->shape == SHEAF_COMPONENT_DISK ? x * x + y * y < 0.25
                                                             : exp(-4 * log(2.0) * (x * x + y * y));
      const double along = x * c->major_rad, across = y * c->minor_rad;
      const double l = along * sin(c->angle_rad) + across * cos(c->angle_rad);
      const double m = along * cos(c->angle_rad) - across * sin(c->angle_rad);
      sum += weight * cos(2 * pi * (u * l + v * m));
      all += weight;
    }
  return sum / all;
}

static void test_against_patches(void **state) {
  (void)state;
  srand(4);
  for (int round = 0; round < 12; round++) {
    const double freq[1] = {any(1e9, 3e9)}, flux[2] = {1, 0};
    sheaf_component c =
        component(round % 2 ? SHEAF_COMPONENT_DISK : SHEAF_COMPONENT_GAUSSIAN, flux);
    c.angle_rad = any(-3, 3);
    const double uvw[3] = {any(-500, 500), any(-500, 500), any(-500, 500)};
    const sheaf_component_setup s = {&c, 1, freq, 1, 1};
    float vis[2];
    sheaf_components_row(&s, uvw, vis);
    assert_float_equal(vis[0], patches(&c, uvw[0] * freq[0] / light, uvw[1] * freq[0] / light),
                       2e-3);
    assert_float_equal(vis[1], 0, 0);
  }
}

/* Random components, turned and moved, against complex arithmetic written out; 0 and 1 of
 * everything. */
static void test_random_sums(void **state) {
  (void)state;
  srand(5);
  for (int round = 0; round < 60; round++) {
    const int n = round % 4, nchan = round % 3, ncorr = 1 + round % 4;
    sheaf_component c[4];
    double flux[4][3 * 4 * 2], freq[3] = {1e9, 1.5e9, 2e9};
    float vis[3 * 4 * 2 + 1];
    const double uvw[3] = {any(-50, 50), any(-50, 50), any(-50, 50)};
    for (int i = 0; i < n; i++) {
      c[i] = component(SHEAF_COMPONENT_POINT, flux[i]);
      for (int k = 0; k < 24; k++) flux[i][k] = any(-2, 2);
      for (int k = 0; k < 9; k++) c[i].rotation[k / 3][k % 3] = any(-1, 1);
      for (int k = 0; k < 3; k++) c[i].path[k] = any(-0.1, 0.1);
    }
    const sheaf_component_setup s = {c, (size_t)n, freq, nchan, ncorr};
    sheaf_components_row(&s, uvw, vis);
    for (int k = 0; k < nchan * ncorr; k++) {
      double re = 0, im = 0;
      for (int i = 0; i < n; i++) {
        const double in[3] = {-uvw[0], -uvw[1], uvw[2]};
        double way = 0;
        for (int j = 0; j < 3; j++)
          for (int m = 0; m < 3; m++) way += in[m] * c[i].rotation[m][j] * c[i].path[j];
        const double phase = 2 * pi * way * freq[k / ncorr] / light;
        re += flux[i][2 * k] * cos(phase) - flux[i][2 * k + 1] * sin(phase);
        im += flux[i][2 * k] * sin(phase) + flux[i][2 * k + 1] * cos(phase);
      }
      assert_float_equal(vis[2 * k], re, 2e-6 * (1 + n));
      assert_float_equal(vis[2 * k + 1], im, 2e-6 * (1 + n));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_points_at_the_centre), cmocka_unit_test(test_parts),
      cmocka_unit_test(test_a_way_of_a_quarter),   cmocka_unit_test(test_widths),
      cmocka_unit_test(test_against_patches),      cmocka_unit_test(test_random_sums)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
