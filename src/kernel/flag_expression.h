/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_expression.h - visibility expressions (`ABS_RR,LL`) of clip, tfcrop and rflag.
 *
 * An expression is an operator (REAL, IMAG, ARG, ABS, NORM; ABS when there is none) and names of
 * correlations, or ALL. Names stand in any order, apart by commas, blanks or underscores; what they
 * name is visited in one fixed order. As in CASA the Stokes parameters are made from correlations
 * with CASA's formulas, and a buffer is skipped where the first name of the fixed order is not
 * available. Unlike there, IMAG does not name Stokes I, and a word that is neither operator nor
 * name is an error. */
#ifndef SHEAF_KERNEL_FLAG_EXPRESSION_H
#define SHEAF_KERNEL_FLAG_EXPRESSION_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/flag_view.h"

typedef enum sheaf_flag_operator {
  SHEAF_FLAG_REAL,
  SHEAF_FLAG_IMAG,
  SHEAF_FLAG_ARG, /* radians */
  SHEAF_FLAG_ABS,
  SHEAF_FLAG_NORM /* squared modulus */
} sheaf_flag_operator;

/* Correlations are casacore's Stokes codes (I 1 … V 4, RR 5, RL 6, LR 7, LL 8, XX 9, XY 10, YX 11,
 * YY 12), and these for the solutions of a calibration table. Others are known to no expression. */
enum { SHEAF_FLAG_SOL1 = 101, SHEAF_FLAG_SOL2, SHEAF_FLAG_SOL3, SHEAF_FLAG_SOL4 };

enum { SHEAF_FLAG_QUANTITIES = 17 };

typedef struct sheaf_flag_expression {
  sheaf_flag_operator op;
  int op_replaced; /* the text has an operator that makes no sense for real numbers: REAL is used */
  int all;         /* ALL, or no text */
  uint32_t names;  /* bits in the order of visiting */
  /* With `all`: each name in the order of the MS, also I; for tfcrop. */
  uint8_t sequence[SHEAF_FLAG_QUANTITIES];
  int nsequence;
} sheaf_flag_expression;

typedef enum sheaf_flag_form {
  SHEAF_FLAG_SINGLE,     /* correlation a */
  SHEAF_FLAG_HALF_SUM,   /* (a + b) / 2 */
  SHEAF_FLAG_HALF_DIFF,  /* (a - b) / 2 */
  SHEAF_FLAG_HALF_DIFF_I /* (a - b) / (2i) */
} sheaf_flag_form;

/* One quantity of a buffer. It counts as flagged when one of its correlations is; flagging it flags
 * both. */
typedef struct sheaf_flag_quantity {
  sheaf_flag_form form;
  int32_t a, b; /* indices of correlations; b = a for a single one */
} sheaf_flag_quantity;

/* Parses text (NULL or "": ALL). real: the column has real numbers. ms_corrs: the correlations of
 * all rows of POLARIZATION, for ALL. Returns 0, or -1 with the reason in message: an unknown word
 * (named), or no name of a correlation. */
int sheaf_flag_expression_parse(sheaf_flag_expression *expression, const char *text, int real,
                                const int32_t *ms_corrs, size_t nms, char *message, size_t size);

/* The quantities to examine in a buffer with these correlations, in CASA's order; returns how many.
 * 0: the buffer is skipped. */
int sheaf_flag_expression_quantities(const sheaf_flag_expression *expression, const int32_t *corrs,
                                     int ncorr,
                                     sheaf_flag_quantity quantity[SHEAF_FLAG_QUANTITIES]);
/* The same for tfcrop: with ALL each correlation in the order of the MS, else the first quantity
 * only. As in CASA, I is one of them where some window has it: one that is of two correlations sees
 * the flags that those before it have set, and those behind it see its flags. */
int sheaf_flag_expression_tfcrop(const sheaf_flag_expression *expression, const int32_t *corrs,
                                 int ncorr, sheaf_flag_quantity quantity[SHEAF_FLAG_QUANTITIES]);

/* Name of a correlation as expressions have it ("RR"), NULL for codes that have none. */
const char *sheaf_flag_correlation_name(int32_t code);

#endif
