/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/components.h"

#include <math.h>
#include <string.h>

static const double light_m_per_s = 299792458.0;
static const double pi = 3.14159265358979323846;

static int moves(const sheaf_component *c) {
  return c->path[0] != 0 || c->path[1] != 0 || c->path[2] != 0;
}

int sheaf_components_vary(const sheaf_component_setup *s) {
  for (size_t i = 0; i < s->n; i++)
    if (s->component[i].shape != SHEAF_COMPONENT_POINT || moves(&s->component[i])) return 1;
  return 0;
}

/* (-u, -v, w) towards the component, and the way there [m]. */
static double turn(const sheaf_component *c, const double uvw[3], double turned[3]) {
  const double given[3] = {-uvw[0], -uvw[1], uvw[2]};
  double way = 0;
  for (int i = 0; i < 3; i++)
    turned[i] =
        given[0] * c->rotation[0][i] + given[1] * c->rotation[1][i] + given[2] * c->rotation[2][i];
  for (int i = 0; i < 3; i++) way += c->path[i] * turned[i];
  return way;
}

/* Share of the flux at u, v in wavelengths; shapes are symmetric, so the signs of u and v together
 * do not matter. */
static double share(const sheaf_component *c, double u, double v) {
  if (c->shape == SHEAF_COMPONENT_POINT || (u == 0 && v == 0)) return 1;
  const double cosine = cos(c->angle_rad), sine = sin(c->angle_rad);
  const double along = c->major_rad * (u * sine + v * cosine);
  const double across = c->minor_rad * (u * cosine - v * sine);
  if (c->shape == SHEAF_COMPONENT_GAUSSIAN)
    return exp(-(along * along + across * across) * (pi * pi / (4 * log(2.0))));
  const double r = pi * hypot(across, along);
  return r > 0 ? 2 * j1(r) / r : 1;
}

static void add(const sheaf_component_setup *s, const sheaf_component *c, const double uvw[3],
                float *vis) {
  double turned[3];
  const double way = -2 * pi * turn(c, uvw, turned);
  for (int64_t chan = 0; chan < s->nchan; chan++) {
    const double per_m = s->freq_hz[chan] / light_m_per_s, phase = way * per_m;
    const double part = share(c, turned[0] * per_m, turned[1] * per_m);
    const float re = (float)cos(phase), im = -(float)sin(phase);
    const double *flux = c->flux + 2 * chan * s->ncorr;
    float *to = vis + 2 * chan * s->ncorr;
    for (int64_t k = 0; k < s->ncorr; k++) {
      const float a = (float)(part * flux[2 * k]), b = (float)(part * flux[2 * k + 1]);
      to[2 * k] += a * re - b * im;
      to[2 * k + 1] += a * im + b * re;
    }
  }
}

void sheaf_components_add(const sheaf_component_setup *s, const double uvw[3], float *vis) {
  for (size_t i = 0; i < s->n; i++) add(s, &s->component[i], uvw, vis);
}

void sheaf_components_row(const sheaf_component_setup *s, const double uvw[3], float *vis) {
  memset(vis, 0, (size_t)(s->nchan * s->ncorr) * 2 * sizeof *vis);
  sheaf_components_add(s, uvw, vis);
}
