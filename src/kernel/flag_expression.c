/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_expression.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The order of visiting; bits of sheaf_flag_expression.names. */
enum { WVR, XX, YY, XY, YX, RR, LL, LR, RL, I, Q, U, V, SOL1, SOL2, SOL3, SOL4, NAMES };
enum { CODE_I = 1 };

static const struct {
  const char *name;
  int32_t code;
} names[NAMES] = {{"WVR", CODE_I},
                  {"XX", 9},
                  {"YY", 12},
                  {"XY", 10},
                  {"YX", 11},
                  {"RR", 5},
                  {"LL", 8},
                  {"LR", 7},
                  {"RL", 6},
                  {"I", CODE_I},
                  {"Q", 2},
                  {"U", 3},
                  {"V", 4},
                  {"SOL1", SHEAF_FLAG_SOL1},
                  {"SOL2", SHEAF_FLAG_SOL2},
                  {"SOL3", SHEAF_FLAG_SOL3},
                  {"SOL4", SHEAF_FLAG_SOL4}};

static const char *const operators[] = {"REAL", "IMAG", "ARG", "ABS", "NORM"};

const char *sheaf_flag_correlation_name(int32_t code) {
  for (int k = XX; k < NAMES; k++)
    if (names[k].code == code) return names[k].name;
  return NULL;
}

static int starts_with(const char *text, const char *word) {
  for (; *word; text++, word++)
    if (toupper((unsigned char)*text) != *word) return 0;
  return 1;
}

static int is_separator(char c) {
  return c == ' ' || c == '\t' || c == ',' || c == '_';
}

typedef struct parsing {
  sheaf_flag_expression *e;
  int noperator;
} parsing;

/* Takes an operator, ALL or a name; returns its length, 0 when it is none. */
static size_t take_word(parsing *p, const char *text) {
  for (int k = 0; k < 5; k++)
    if (starts_with(text, operators[k])) {
      p->e->op = (sheaf_flag_operator)k;
      p->noperator++;
      return strlen(operators[k]);
    }
  if (starts_with(text, "ALL")) {
    p->e->all = 1;
    return 3;
  }
  for (int k = 0; k < NAMES; k++) /* no name begins another one */
    if (starts_with(text, names[k].name)) {
      p->e->names |= 1u << k;
      return strlen(names[k].name);
    }
  return 0;
}

static uint32_t all_names(const int32_t *corrs, size_t n) {
  uint32_t bits = 0;
  for (size_t i = 0; i < n; i++)
    for (int k = XX; k < NAMES; k++)
      if (k != I && names[k].code == corrs[i]) bits |= 1u << k;
  return bits;
}

static void order_of_ms(sheaf_flag_expression *e, const int32_t *corrs, size_t n) {
  uint32_t seen = 0;
  for (size_t i = 0; i < n; i++)
    for (int k = XX; k < NAMES; k++) {
      if (names[k].code != corrs[i] || (seen >> k & 1)) continue;
      seen |= 1u << k;
      e->sequence[e->nsequence++] = (uint8_t)k;
    }
}

int sheaf_flag_expression_parse(sheaf_flag_expression *expression, const char *text, int real,
                                const int32_t *ms_corrs, size_t nms, char *message, size_t size) {
  *expression = (sheaf_flag_expression){.op = SHEAF_FLAG_ABS};
  parsing p = {.e = expression};
  const char *at = text ? text : "";
  int any = 0;
  while (*at) {
    if (is_separator(*at)) {
      at++;
      continue;
    }
    const size_t length = take_word(&p, at);
    if (!length) {
      size_t word = 0;
      while (at[word] && !is_separator(at[word])) word++;
      snprintf(message, size,
               "%.*s is neither an operator (ABS, ARG, REAL, IMAG, NORM) nor a correlation (XX, "
               "RR, …, I, Q, U, "
               "V, WVR, SOL1 … SOL4) nor ALL",
               (int)word, at);
      return -1;
    }
    at += length;
    any = 1;
  }
  if (p.noperator > 1) {
    snprintf(message, size, "%d operators: one must stand alone", p.noperator);
    return -1;
  }
  if (!any) expression->all = 1;
  if (!expression->all && !expression->names) {
    snprintf(message, size, "names no correlation");
    return -1;
  }
  if (expression->all) {
    expression->names = all_names(ms_corrs, nms);
    order_of_ms(expression, ms_corrs, nms);
  }
  if (expression->names & 1u << WVR) expression->names &= ~(1u << V);
  if (real) {
    expression->op_replaced = p.noperator && expression->op != SHEAF_FLAG_REAL;
    expression->op = SHEAF_FLAG_REAL;
  }
  return 0;
}

static int find(const int32_t *corrs, int ncorr, int32_t code) {
  for (int i = 0; i < ncorr; i++)
    if (corrs[i] == code) return i;
  return -1;
}

/* Stokes parameters in CASA's way: the first pair that is there. */
static const struct {
  int name, a, b;
  sheaf_flag_form form;
} pairs[] = {{I, XX, YY, SHEAF_FLAG_HALF_SUM},    {I, RR, LL, SHEAF_FLAG_HALF_SUM},
             {Q, XX, YY, SHEAF_FLAG_HALF_DIFF},   {Q, RL, LR, SHEAF_FLAG_HALF_DIFF},
             {U, XY, YX, SHEAF_FLAG_HALF_DIFF},   {U, RL, LR, SHEAF_FLAG_HALF_DIFF_I},
             {V, XY, YX, SHEAF_FLAG_HALF_DIFF_I}, {V, RR, LL, SHEAF_FLAG_HALF_DIFF_I}};

static int quantity_of(int name, const int32_t *corrs, int ncorr, sheaf_flag_quantity *quantity) {
  const int alone = name == Q || name == U || name == V ? -1 : find(corrs, ncorr, names[name].code);
  if (alone >= 0) {
    *quantity = (sheaf_flag_quantity){SHEAF_FLAG_SINGLE, alone, alone};
    return 1;
  }
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
    const int a = find(corrs, ncorr, names[pairs[k].a].code);
    const int b = find(corrs, ncorr, names[pairs[k].b].code);
    if (pairs[k].name != name || a < 0 || b < 0) continue;
    *quantity = (sheaf_flag_quantity){pairs[k].form, a, b};
    return 1;
  }
  return 0;
}

int sheaf_flag_expression_quantities(const sheaf_flag_expression *expression, const int32_t *corrs,
                                     int ncorr,
                                     sheaf_flag_quantity quantity[SHEAF_FLAG_QUANTITIES]) {
  int n = 0, first = 1;
  if ((find(corrs, ncorr, CODE_I) >= 0) != (int)(expression->names >> WVR & 1)) return 0;
  for (int k = 0; k < NAMES; k++) {
    if (!(expression->names >> k & 1)) continue;
    const int there = quantity_of(k, corrs, ncorr, quantity + n);
    if (first && !there) return 0;
    first = 0;
    n += there;
  }
  return n;
}

int sheaf_flag_expression_tfcrop(const sheaf_flag_expression *expression, const int32_t *corrs,
                                 int ncorr, sheaf_flag_quantity quantity[SHEAF_FLAG_QUANTITIES]) {
  int n = 0;
  if (!expression->all) {
    n = sheaf_flag_expression_quantities(expression, corrs, ncorr, quantity);
    return n > 1 ? 1 : n;
  }
  if (find(corrs, ncorr, CODE_I) >= 0) return 0;
  for (int k = 0; k < expression->nsequence; k++)
    n += quantity_of(expression->sequence[k], corrs, ncorr, quantity + n);
  return n;
}
