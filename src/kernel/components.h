/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * components.h - visibilities of components on the sky: points, Gaussians and disks.
 *
 * The arithmetic is that of CASA's virtual models: phases and shapes in double, each component's
 * phasor and product in float, components added in their order. */
#ifndef SHEAF_KERNEL_COMPONENTS_H
#define SHEAF_KERNEL_COMPONENTS_H

#include <stddef.h>
#include <stdint.h>

typedef enum sheaf_component_shape {
  SHEAF_COMPONENT_POINT,
  SHEAF_COMPONENT_GAUSSIAN,
  SHEAF_COMPONENT_DISK /* of uniform brightness */
} sheaf_component_shape;

typedef struct sheaf_component {
  sheaf_component_shape shape;
  /* full widths (at half maximum; a disk's diameters); the major axis from north through east */
  double major_rad, minor_rad, angle_rad;
  double rotation[3][3]; /* (-u, -v, w) of the phase centre, a row, times this is towards the
                            component */
  double path[3];        /* its product with that: the way from the phase centre, in units of uvw */
  const double *flux;    /* [nchan][ncorr][2] Jy */
} sheaf_component;

/* What stays the same for all rows. */
typedef struct sheaf_component_setup {
  const sheaf_component *component;
  size_t n;
  const double *freq_hz; /* [nchan] */
  int64_t nchan, ncorr;
} sheaf_component_setup;

/* Whether rows differ: 0 for points at the phase centre, whose visibilities are those of any uvw.
 */
int sheaf_components_vary(const sheaf_component_setup *setup);

/* Visibilities of one row at uvw [m], as an MS has it: vis[nchan][ncorr][2], which is overwritten.
 */
void sheaf_components_row(const sheaf_component_setup *setup, const double uvw[3], float *vis);
/* The same, added to vis: components in parts, in their order, give the bits of all at once, and so
 * do channels in parts. */
void sheaf_components_add(const sheaf_component_setup *setup, const double uvw[3], float *vis);

#endif
