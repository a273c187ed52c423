/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands → compiled agents: every check that needs no row. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/value.h"
#include "flag/agent.h"
#include "flag/antennas.h"
#include "flag/virtual.h"

static const char *const kModes[SHEAF_FLAG_NMODE] = {
    "manual", "unflag", "clip",   "quack",  "shadow", "elevation",
    "tfcrop", "rflag",  "antint", "extend", "summary"};

const char *sheaf_flag_mode_name(sheaf_flag_mode mode) {
  return kModes[mode];
}

/* One command on its way. */
typedef struct command {
  const sheaf_flag_compile *how;
  const json_t *given; /* as it came */
  json_t *par;         /* complete */
  json_t *out;
  sheaf_flag_mode mode;
  int64_t row;
  const char *where;
  sheaf_error *err;
} command;

/* The state of a run that commands change one after the other. */
typedef struct run {
  int extending; /* CASA's switch for the extension after tfcrop and rflag */
  double ntime;
  int combinescans, buffers, averaging, others;
  int several; /* commands: they select for themselves */
  sheaf_select_ms *ms; /* NULL for a calibration table */
  json_t *defaults;    /* of all parameters */
  sheaf_flag_virtual *models; /* opened by the first command that needs MODEL */
  int told;    /* a command that selects nothing has been warned of */
  size_t nskipped; /* for antennas, windows or fields that are not there */
  char skipped[512]; /* the first of them */
} run;

static int fail(const command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(const command *c, const char *fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  return sheaf_fail(c->err, SHEAF_ERR_ARG, "%s", text);
}

static int no_memory(const command *c) {
  return sheaf_fail(c->err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}

/* ---- parameters ---- */

static double number(const command *c, const char *key) {
  return sheaf_value_double(c->par, key, 0);
}

static int flag(const command *c, const char *key) {
  return sheaf_value_bool(c->par, key, 0);
}

/* A text, or a list of one. */
static const char *text(const command *c, const char *key) {
  const json_t *value = json_object_get(c->par, key);
  if (json_array_size(value) == 1) value = json_array_get(value, 0);
  const char *s = json_string_value(value);
  return s ? s : "";
}

/* Texts of a list joined with commas. Caller frees. */
static char *joined(const command *c, const char *key) {
  const json_t *value = json_object_get(c->par, key), *item;
  size_t size = 1, i;
  if (json_is_string(value)) return strdup(json_string_value(value));
  for (i = 0; i < json_array_size(value); i++)
    size += json_string_length(json_array_get(value, i)) + 1;
  char *out = calloc(size, 1);
  json_array_foreach((json_t *)value, i, item) if (out) {
    if (i) strcat(out, ",");
    strcat(out, json_string_value(item) ? json_string_value(item) : "");
  }
  return out;
}

static void put(const command *c, const char *key, double value) {
  json_object_set_new(c->out, key, json_real(value));
}

static void put_int(const command *c, const char *key, int64_t value) {
  json_object_set_new(c->out, key, json_integer(value));
}

/* The number, which must lie within. */
static int bounded(const command *c, const char *key, double low, double high) {
  const double x = number(c, key);
  if (!(x >= low && x <= high)) {
    if (isinf(high)) return fail(c, "%s=%g: must be %g or more", key, x, low);
    return fail(c, "%s=%g: must be from %g to %g", key, x, low, high);
  }
  put(c, key, x);
  return 0;
}

static int positive(const command *c, const char *key) {
  const double x = number(c, key);
  if (!(x > 0)) return fail(c, "%s=%g: must be greater than 0", key, x);
  put(c, key, x);
  return 0;
}

/* The place of a word in words; an error names them all. */
static int choice(const command *c, const char *key, const char *const *words, size_t n) {
  const char *word = text(c, key);
  char all[256] = "";
  for (size_t i = 0; i < n; i++) {
    if (strcmp(word, words[i]) == 0) {
      put_int(c, key, (int64_t)i);
      return 0;
    }
    snprintf(all + strlen(all), sizeof all - strlen(all), "%s'%s'", i ? ", " : "", words[i]);
  }
  return fail(c, "%s='%s': must be one of %s", key, word, all);
}

/* Seconds of "10s", "2min", "1h", a number, or a text with a number. "3m" is none: m are metres. */
static int seconds(const command *c, const char *key, double *out) {
  static const struct {
    const char *unit;
    double s;
  } units[] = {{"", 1},     {"s", 1},       {"sec", 1},  {"seconds", 1}, {"min", 60}, {"h", 3600},
               {"hour", 3600}, {"d", 86400}, {"day", 86400}, {"ms", 1e-3}};
  const json_t *value = json_object_get(c->par, key);
  if (json_is_number(value)) {
    *out = json_number_value(value);
    return 0;
  }
  const char *s = text(c, key);
  char *end;
  *out = strtod(s, &end);
  while (*end == ' ') end++;
  if (end != s && isfinite(*out))
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
      if (strcmp(end, units[i].unit) == 0) {
        *out *= units[i].s;
        return 0;
      }
  return fail(c, "%s='%s': must be a time such as '10s' or '2min'", key, s);
}

/* ---- parts ---- */

static int compile_ntime(const command *c, run *r) {
  double ntime = 0;
  if (strcmp(text(c, "ntime"), "scan") != 0) {
    const int rc = seconds(c, "ntime", &ntime);
    if (rc < 0) return rc;
    if (!(ntime > 0)) return fail(c, "ntime=%g: must be greater than 0, or 'scan'", ntime);
  }
  if (ntime > r->ntime) r->ntime = ntime;
  r->combinescans |= flag(c, "combinescans");
  r->buffers = 1;
  return 0;
}

static const char *const kCorrs[] = {"RR", "LL", "RL",   "LR",   "XX",   "YY",  "XY",
                                     "YX", "I",  "Sol1", "Sol2", "Sol3", "Sol4"};

/* Every word must hold the name of a correlation, as CASA finds them; *all: one is ALL. */
static int check_corr_words(const command *c, const char *given, int *all) {
  static const char between[] = ", \t;";
  *all = 0;
  for (const char *at = given + strspn(given, between); *at; at += strspn(at, between)) {
    char word[64];
    const size_t n = strcspn(at, between);
    size_t i = 0;
    snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), at);
    at += n;
    if (!strcasecmp(word, "ALL")) {
      *all = 1;
      continue;
    }
    while (i < sizeof kCorrs / sizeof *kCorrs && !strcasestr(word, kCorrs[i])) i++;
    if (i == sizeof kCorrs / sizeof *kCorrs)
      return fail(c, "correlation='%s': '%s' is no correlation", given, word);
  }
  return 0;
}

/* The correlations that manual and its like are about, as bits for each polarization. */
static int compile_corrs(const command *c) {
  static const int32_t codes[] = {5, 8, 6, 7, 9, 12, 10, 11, 1, SHEAF_FLAG_SOL1,
                                  SHEAF_FLAG_SOL2, SHEAF_FLAG_SOL3, SHEAF_FLAG_SOL4};
  const sheaf_flag_vis *v = c->how->vis;
  char *given = joined(c, "correlation");
  uint64_t any = 0;
  if (!given || !*given) {
    const int lost = !given;
    free(given);
    return lost ? no_memory(c) : 0;
  }
  int all, rc = check_corr_words(c, given, &all);
  if (rc < 0 || all) {
    free(given);
    return rc;
  }
  json_t *list = json_array();
  for (size_t p = 0; p < v->npol; p++) {
    uint64_t bits = 0;
    for (size_t k = 0; k < v->ncorr[p] && k < 64; k++)
      for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (v->corr[p][k] == codes[i] && strcasestr(given, kCorrs[i])) bits |= 1ULL << k;
    json_array_append_new(list, json_integer((json_int_t)bits));
    any |= bits;
  }
  json_object_set_new(c->out, "corrs", list);
  if (!any) rc = fail(c, "correlation='%s': none of these is in the data of %s", given, v->path);
  free(given);
  return rc;
}

static const struct {
  const char *name;
  sheaf_flag_source source;
  unsigned needs;
  int real, cal;
} kSources[] = {
    {"DATA", SHEAF_FLAG_ON_DATA, SHEAF_FLAG_COL_DATA, 0, 0},
    {"FLOAT_DATA", SHEAF_FLAG_ON_DATA, SHEAF_FLAG_COL_DATA, 1, 0},
    {"CORRECTED", SHEAF_FLAG_ON_CORRECTED, SHEAF_FLAG_COL_CORRECTED, 0, 0},
    {"CORRECTED_DATA", SHEAF_FLAG_ON_CORRECTED, SHEAF_FLAG_COL_CORRECTED, 0, 0},
    {"MODEL", SHEAF_FLAG_ON_MODEL, SHEAF_FLAG_COL_MODEL, 0, 0},
    {"MODEL_DATA", SHEAF_FLAG_ON_MODEL, SHEAF_FLAG_COL_MODEL, 0, 0},
    {"RESIDUAL", SHEAF_FLAG_ON_RESIDUAL, SHEAF_FLAG_COL_CORRECTED | SHEAF_FLAG_COL_MODEL, 0, 0},
    {"RESIDUAL_DATA", SHEAF_FLAG_ON_RESIDUAL_DATA, SHEAF_FLAG_COL_DATA | SHEAF_FLAG_COL_MODEL, 0, 0},
    {"WEIGHT_SPECTRUM", SHEAF_FLAG_ON_WEIGHT_SPECTRUM, SHEAF_FLAG_COL_WEIGHT_SPECTRUM, 1, 0},
    {"SIGMA_SPECTRUM", SHEAF_FLAG_ON_SIGMA_SPECTRUM, SHEAF_FLAG_COL_SIGMA_SPECTRUM, 1, 0},
    {"WEIGHT", SHEAF_FLAG_ON_WEIGHT, SHEAF_FLAG_COL_WEIGHT, 1, 0},
    {"FPARAM", SHEAF_FLAG_ON_PARAM, SHEAF_FLAG_COL_PARAM, 1, 1},
    {"CPARAM", SHEAF_FLAG_ON_PARAM, SHEAF_FLAG_COL_PARAM, 0, 1},
    {"SNR", SHEAF_FLAG_ON_SNR, SHEAF_FLAG_COL_SNR, 1, 1},
};

/* The columns of the table that stand for the bits, but MODEL (compile_model); the error says which is
 * missing. */
static int check_columns(const command *c, const char *given, unsigned needs, int real) {
  const struct {
    unsigned bit;
    const char *name;
  } columns[] = {{SHEAF_FLAG_COL_DATA, real ? "FLOAT_DATA" : "DATA"},
                 {SHEAF_FLAG_COL_CORRECTED, "CORRECTED_DATA"},
                 {SHEAF_FLAG_COL_WEIGHT_SPECTRUM, "WEIGHT_SPECTRUM"},
                 {SHEAF_FLAG_COL_SIGMA_SPECTRUM, "SIGMA_SPECTRUM"},
                 {SHEAF_FLAG_COL_WEIGHT, "WEIGHT"},
                 {SHEAF_FLAG_COL_PARAM, real ? "FPARAM" : "CPARAM"},
                 {SHEAF_FLAG_COL_SNR, "SNR"}};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
    if (!(needs & columns[i].bit)) continue;
    const int has = sheaf_flag_vis_has(c->how->vis, columns[i].name, c->err);
    if (has < 0) return has;
    if (!has)
      return fail(c, "datacolumn='%s': %s has no column %s", given, c->how->vis->path,
                  columns[i].name);
  }
  return 0;
}

/* datacolumn, and whether its numbers are real. */
static int compile_source(const command *c, int *real) {
  const sheaf_flag_vis *v = c->how->vis;
  char *joint = joined(c, "datacolumn"), given[64];
  if (!joint) return no_memory(c);
  snprintf(given, sizeof given, "%s", joint);
  free(joint);
  const int named = json_object_get(c->given, "datacolumn") != NULL;
  if (v->cal && !named) strcpy(given, "FPARAM");
  size_t k = 0;
  const size_t n = sizeof kSources / sizeof *kSources;
  while (k < n && strcasecmp(given, kSources[k].name) != 0) k++;
  if (k == n || kSources[k].cal != v->cal)
    return fail(c, "datacolumn='%s': must be %s", given,
                v->cal ? "'FPARAM', 'CPARAM' or 'SNR' with a calibration table"
                       : "'DATA', 'FLOAT_DATA', 'CORRECTED', 'MODEL', 'RESIDUAL', 'RESIDUAL_DATA', "
                         "'WEIGHT_SPECTRUM', 'SIGMA_SPECTRUM' or 'WEIGHT'");
  *real = kSources[k].real;
  if (kSources[k].source == SHEAF_FLAG_ON_DATA) { /* whichever there is */
    const int has = sheaf_flag_vis_has(v, "DATA", c->err);
    const int has_float = sheaf_flag_vis_has(v, "FLOAT_DATA", c->err);
    if (has < 0 || has_float < 0) return has < 0 ? has : has_float;
    if (*real && !has_float)
      return fail(c, "datacolumn='%s': %s has no column FLOAT_DATA", given, v->path);
    *real = has_float && (!has || *real);
  }
  const int rc = check_columns(c, given, kSources[k].needs, *real);
  if (rc < 0) return rc;
  put_int(c, "source", kSources[k].source);
  /* WEIGHT where WEIGHT_SPECTRUM has no cells, and the other way round */
  const int weights = kSources[k].source == SHEAF_FLAG_ON_WEIGHT ||
                      kSources[k].source == SHEAF_FLAG_ON_WEIGHT_SPECTRUM;
  put_int(c, "data",
          kSources[k].needs |
              (weights ? SHEAF_FLAG_COL_WEIGHT_SPECTRUM | SHEAF_FLAG_COL_WEIGHT : 0));
  put_int(c, "real", *real);
  return 0;
}

static int compile_expression(const command *c) {
  int real = 0;
  int32_t *corrs;
  size_t n;
  char message[512];
  sheaf_flag_expression e;
  int rc = compile_source(c, &real);
  if (rc < 0 || (rc = sheaf_flag_vis_corrs(c->how->vis, &corrs, &n, c->err)) < 0) return rc;
  char *given = joined(c, "correlation");
  if (!given) {
    free(corrs);
    return no_memory(c);
  }
  if (sheaf_flag_expression_parse(&e, given, real, corrs, n, message, sizeof message) < 0) {
    rc = fail(c, "correlation='%s': %s", given, message);
    goto done;
  }
  if (e.op_replaced)
    sheaf_log(SHEAF_LOG_WARN, "correlation='%s': the column has real numbers; REAL is used", given);
  /* One setup at least must have what the expression names. */
  int any = 0;
  for (size_t p = 0; p < c->how->vis->npol; p++) {
    sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
    any |= sheaf_flag_expression_quantities(&e, c->how->vis->corr[p],
                                            (int)c->how->vis->ncorr[p], q) > 0;
  }
  if (!any && *given) {
    rc = fail(c, "correlation='%s': names no correlation of the data of %s", given,
              c->how->vis->path);
    goto done;
  }
  json_object_set_new(c->out, "expression", json_string(given));
done:
  free(given);
  free(corrs);
  return rc;
}

static int compile_averages(const command *c, run *r) {
  const int channels = flag(c, "channelavg"), times = flag(c, "timeavg");
  if (!channels && !times) return 0;
  r->averaging = 1;
  json_t *bins = json_array();
  const json_t *chanbin = json_object_get(c->par, "chanbin"), *item;
  size_t i;
  if (json_is_array(chanbin))
    json_array_foreach((json_t *)chanbin, i, item) json_array_append_new(bins, json_copy((json_t *)item));
  else
    json_array_append_new(bins, json_copy((json_t *)chanbin));
  json_object_set_new(c->out, "chanbin", bins);
  const size_t nspw = c->how->vis->nspw;
  if (channels && json_array_size(bins) != 1 && json_array_size(bins) != nspw)
    return fail(c, "chanbin: must be one number, or one for each of the %zu spectral windows, not %zu",
                nspw, json_array_size(bins));
  for (i = 0; i < json_array_size(bins); i++)
    if (json_integer_value(json_array_get(bins, i)) < 0)
      return fail(c, "chanbin=%lld: must be 0 or more",
                  (long long)json_integer_value(json_array_get(bins, i)));
  json_object_set_new(c->out, "channelavg", json_boolean(channels));
  json_object_set_new(c->out, "timeavg", json_boolean(times));
  double timebin = 0;
  const int rc = times ? seconds(c, "timebin", &timebin) : 0;
  if (rc < 0) return rc;
  if (times && !(timebin > 0)) return fail(c, "timebin=%g: must be greater than 0", timebin);
  put(c, "timebin", timebin);
  if (times) r->buffers = 1;
  const int64_t source = sheaf_value_int(c->out, "source", 0);
  if (times && source != SHEAF_FLAG_ON_DATA && source != SHEAF_FLAG_ON_CORRECTED &&
      source != SHEAF_FLAG_ON_MODEL && source != SHEAF_FLAG_ON_RESIDUAL)
    return fail(c, "datacolumn='%s': cannot be averaged in time; DATA, CORRECTED, MODEL and "
                   "RESIDUAL can",
                text(c, "datacolumn"));
  if (c->how->vis->cal) return fail(c, "a calibration table cannot be averaged (channelavg, timeavg)");
  /* weights of the averages */
  int64_t data = sheaf_value_int(c->out, "data", 0);
  if (source == SHEAF_FLAG_ON_DATA || source == SHEAF_FLAG_ON_RESIDUAL_DATA)
    data |= SHEAF_FLAG_COL_SIGMA | SHEAF_FLAG_COL_SIGMA_SPECTRUM;
  if (source == SHEAF_FLAG_ON_CORRECTED || source == SHEAF_FLAG_ON_RESIDUAL)
    data |= SHEAF_FLAG_COL_WEIGHT | SHEAF_FLAG_COL_WEIGHT_SPECTRUM;
  put_int(c, "data", data);
  return 0;
}

/* ---- modes ---- */

static int compile_clip(const command *c, run *r) {
  const json_t *limits = json_object_get(c->par, "clipminmax");
  const size_t n = json_array_size(limits);
  const double low = json_number_value(json_array_get(limits, 0));
  const double high = json_number_value(json_array_get(limits, 1));
  if (n != 0 && n != 2)
    return fail(c, "clipminmax: must be [minimum, maximum], not a list of %zu", n);
  if (n == 2 && low > high)
    return fail(c, "clipminmax=[%g, %g]: the minimum is greater than the maximum", low, high);
  json_object_set_new(c->out, "limits", json_boolean(n == 2));
  put(c, "min", low);
  put(c, "max", high);
  put_int(c, "outside", flag(c, "clipoutside"));
  put_int(c, "zeros", flag(c, "clipzeros"));
  const int rc = compile_expression(c);
  return rc < 0 ? rc : compile_averages(c, r);
}

static int compile_tfcrop(const command *c, run *r) {
  static const char *const fits[] = {"line", "poly"};
  static const char *const dimensions[] = {"freq", "time", "freqtime", "timefreq"};
  static const char *const windows[] = {"none", "sum", "std", "both"};
  int rc;
  SHEAF_TRY(compile_expression(c));
  SHEAF_TRY(positive(c, "timecutoff"));
  SHEAF_TRY(positive(c, "freqcutoff"));
  SHEAF_TRY(choice(c, "timefit", fits, 2));
  SHEAF_TRY(choice(c, "freqfit", fits, 2));
  SHEAF_TRY(bounded(c, "maxnpieces", 1, 9));
  SHEAF_TRY(choice(c, "flagdimension", dimensions, 4));
  SHEAF_TRY(choice(c, "usewindowstats", windows, 4));
  SHEAF_TRY(bounded(c, "halfwin", 1, 3));
  SHEAF_TRY(compile_averages(c, r));
  SHEAF_TRY(compile_ntime(c, r));
done:
  return rc;
}

static int compile_rflag(const command *c, run *r) {
  int rc;
  json_t *devs;
  SHEAF_TRY(compile_expression(c));
  SHEAF_TRY(bounded(c, "winsize", 1, 1e6));
  SHEAF_TRY(positive(c, "timedevscale"));
  SHEAF_TRY(positive(c, "freqdevscale"));
  SHEAF_TRY(bounded(c, "spectralmin", 0, INFINITY));
  SHEAF_TRY(bounded(c, "spectralmax", 0, INFINITY));
  if (number(c, "spectralmin") > number(c, "spectralmax")) {
    rc = fail(c, "spectralmin=%g: must not be above spectralmax=%g", number(c, "spectralmin"),
              number(c, "spectralmax"));
    goto done;
  }
  SHEAF_TRY(sheaf_flag_devs_read(json_object_get(c->par, "timedev"), "timedev", &devs, c->err));
  json_object_set_new(c->out, "timedev", devs);
  SHEAF_TRY(sheaf_flag_devs_read(json_object_get(c->par, "freqdev"), "freqdev", &devs, c->err));
  json_object_set_new(c->out, "freqdev", devs);
  SHEAF_TRY(compile_averages(c, r));
  SHEAF_TRY(compile_ntime(c, r));
done:
  return rc;
}

static int compile_extend(const command *c, run *r) {
  static const char *const keys[] = {"growaround", "flagneartime", "flagnearfreq"};
  int rc;
  if (!json_is_boolean(json_object_get(c->par, "extendpols"))) {
    rc = fail(c, "extendpols: must be a bool (True or False)");
    goto done;
  }
  SHEAF_TRY(bounded(c, "growtime", 0, 100));
  SHEAF_TRY(bounded(c, "growfreq", 0, 100));
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) put_int(c, keys[i], flag(c, keys[i]));
  put_int(c, "extendpols", flag(c, "extendpols"));
  SHEAF_TRY(compile_corrs(c));
  SHEAF_TRY(compile_ntime(c, r));
done:
  return rc;
}

static int compile_quack(const command *c) {
  static const char *const modes[] = {"beg", "endb", "tail", "end"};
  const json_t *interval = json_object_get(c->par, "quackinterval");
  if (json_is_array(interval)) {
    if (json_array_size(interval) != 1)
      return fail(c, "quackinterval: must be one number of seconds");
    json_object_set(c->par, "quackinterval", json_array_get(interval, 0));
  }
  int rc = bounded(c, "quackinterval", 0, INFINITY); /* 0 flags nothing */
  if (rc >= 0) rc = choice(c, "quackmode", modes, 4);
  if (rc < 0) return rc;
  put_int(c, "quackincrement", flag(c, "quackincrement"));
  return compile_corrs(c);
}

static int compile_elevation(const command *c) {
  const double low = number(c, "lowerlimit"), high = number(c, "upperlimit");
  if (c->how->vis->cal) return fail(c, "mode='elevation' does not work on a calibration table");
  if (!(low >= -90 && low <= 90)) return fail(c, "lowerlimit=%g: must be from -90 to 90", low);
  if (!(high >= -90 && high <= 90)) return fail(c, "upperlimit=%g: must be from -90 to 90", high);
  if (low > high)
    return fail(c, "lowerlimit=%g, upperlimit=%g: the lower limit is above the upper one", low,
                high);
  put(c, "lowerlimit", low);
  put(c, "upperlimit", high);
  return compile_corrs(c);
}

static int compile_shadow(const command *c) {
  json_t *antennas;
  if (c->how->vis->cal) return fail(c, "mode='shadow' does not work on a calibration table");
  const int rc = sheaf_flag_antennas_read(json_object_get(c->par, "addantenna"), &antennas, c->err);
  if (rc < 0) return rc;
  json_object_set_new(c->out, "addantenna", antennas);
  put(c, "tolerance", number(c, "tolerance"));
  return compile_corrs(c);
}

static int compile_antint(const command *c) {
  const char *name = text(c, "antint_ref_antenna");
  const int32_t id = sheaf_flag_vis_antenna(c->how->vis, name);
  if (c->how->vis->cal) return fail(c, "mode='antint' does not work on a calibration table");
  if (!*name) return fail(c, "antint_ref_antenna='': mode='antint' needs the name of an antenna");
  if (id < 0)
    return fail(c, "antint_ref_antenna='%s': %s has no antenna of that name", name,
                c->how->vis->path);
  put_int(c, "reference", id);
  put_int(c, "nantenna", (int64_t)c->how->vis->nantenna);
  put_int(c, "verbose", flag(c, "verbose"));
  return bounded(c, "minchanfrac", -1, 1); /* below 0: all integrations, as with CASA */
}

/* Limits that no count can meet are a mistake; a negative maxabs is no limit. */
static int check_limits(const command *c) {
  const double minabs = number(c, "minabs"), maxabs = number(c, "maxabs");
  const double minrel = number(c, "minrel"), maxrel = number(c, "maxrel");
  if (minrel > maxrel)
    return fail(c, "minrel=%g: must not be above maxrel=%g", minrel, maxrel);
  if (maxabs >= 0 && minabs > maxabs)
    return fail(c, "minabs=%g: must not be above maxabs=%g", minabs, maxabs);
  if (minrel > 1) return fail(c, "minrel=%g: must be a fraction, 1 at most", minrel);
  if (maxrel < 0) return fail(c, "maxrel=%g: must be a fraction, 0 at least", maxrel);
  return 0;
}

static int compile_summary(const command *c) {
  const int rc = check_limits(c);
  if (rc < 0) return rc;
  static const char *const keys[] = {"spwchan", "spwcorr", "basecnt", "fieldcnt"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) put_int(c, keys[i], flag(c, keys[i]));
  json_object_set_new(c->out, "limits_of_report",
                      json_pack("{s:f, s:f, s:f, s:f}", "minabs", number(c, "minabs"), "maxabs",
                                number(c, "maxabs"), "minrel", number(c, "minrel"), "maxrel",
                                number(c, "maxrel")));
  return compile_corrs(c);
}

static int compile_mode(const command *c, run *r) {
  switch (c->mode) {
    case SHEAF_FLAG_CLIP: return compile_clip(c, r);
    case SHEAF_FLAG_TFCROP: return compile_tfcrop(c, r);
    case SHEAF_FLAG_RFLAG: return compile_rflag(c, r);
    case SHEAF_FLAG_EXTEND: return compile_extend(c, r);
    case SHEAF_FLAG_QUACK: return compile_quack(c);
    case SHEAF_FLAG_ELEVATION: return compile_elevation(c);
    case SHEAF_FLAG_SHADOW: return compile_shadow(c);
    case SHEAF_FLAG_ANTINT: return compile_antint(c);
    case SHEAF_FLAG_SUMMARY: return compile_summary(c);
    default: return compile_corrs(c);
  }
}

/* ---- one command ---- */

static int find_mode(const command *c, sheaf_flag_mode *mode) {
  const char *name = json_string_value(json_object_get(c->given, "mode"));
  if (!name || !*name || strcmp(name, "manualflag") == 0) name = "manual";
  for (int i = 0; i < SHEAF_FLAG_NMODE; i++)
    if (strcmp(name, kModes[i]) == 0) {
      *mode = (sheaf_flag_mode)i;
      return 0;
    }
  const char *near = sheaf_nearest(name, kModes, SHEAF_FLAG_NMODE);
  return fail(c, "mode='%s': there is no such mode%s%s%s", name, near ? "; did you mean '" : "",
              near ? near : "", near ? "'?" : "");
}

/* The parameters of the command with the defaults of those that it leaves out. */
static int complete(command *c, const run *r) {
  if (!(c->par = json_copy(r->defaults))) return no_memory(c);
  for (size_t i = 0; i < c->how->nparam; i++) {
    json_t *value = json_object_get(c->given, c->how->params[i].name);
    if (value) json_object_set(c->par, c->how->params[i].name, value);
  }
  return 0;
}

static int has_text(const command *c, const char *key) {
  const json_t *value = json_object_get(c->par, key);
  return json_is_integer(value) || json_array_size(value) > 0 || json_string_length(value) > 0;
}

static const char *report_name(const command *c, char *to, size_t size) {
  const char *name = text(c, "name");
  if (c->mode == SHEAF_FLAG_SUMMARY && json_object_get(c->given, "name") && *name) {
    snprintf(to, size, "%s", name);
    return to;
  }
  snprintf(to, size, "%s", kModes[c->mode]);
  if (*to) to[0] = (char)(to[0] - 'a' + 'A');
  const size_t n = strlen(to);
  if (c->how->list) snprintf(to + n, size - n, "_%lld", (long long)c->row);
  return to;
}

static int unapply(command *c) {
  if (!json_is_true(json_object_get(c->given, "unapply"))) return 0;
  if (c->mode == SHEAF_FLAG_SUMMARY) return 0;
  if (c->mode == SHEAF_FLAG_RFLAG || c->mode == SHEAF_FLAG_EXTEND)
    return fail(c, "mode='%s': cannot be unapplied; the data do not tell which flags it set "
                   "(flagmanager restores a version from before)",
                kModes[c->mode]);
  if ((c->mode == SHEAF_FLAG_CLIP || c->mode == SHEAF_FLAG_TFCROP) &&
      (flag(c, "channelavg") || flag(c, "timeavg")))
    return fail(c, "mode='%s' with channelavg or timeavg: cannot be unapplied; the average that "
                   "it flagged is another one when data are unflagged (flagmanager restores a "
                   "version from before)",
                kModes[c->mode]);
  if (c->mode == SHEAF_FLAG_TFCROP)
    sheaf_log(SHEAF_LOG_WARN,
              "%s%smode='tfcrop' is unapplied: all flags in its selection are cleared, also those "
              "that others have set, but for baselines that are flagged wholly",
              c->where ? c->where : "", c->where ? ": " : "");
  json_object_set_new(c->out, "clears", json_true());
  return 0;
}

/* Commands of a telescope are for all that it observed, of which this MS may hold a part. */
static int is_lenient(const command *c) {
  return json_is_true(json_object_get(c->given, "machine"));
}

/* As in CASA: what averages would be ignored there. */
static int check_averages(const command *c) {
  if (!c->how->list || c->mode == SHEAF_FLAG_CLIP || c->mode == SHEAF_FLAG_TFCROP ||
      c->mode == SHEAF_FLAG_RFLAG || (!flag(c, "channelavg") && !flag(c, "timeavg")))
    return 0;
  return fail(c, "%s=True: mode='%s' does not average; clip, tfcrop and rflag do",
              flag(c, "channelavg") ? "channelavg" : "timeavg", kModes[c->mode]);
}

/* MODEL: of virtual models, where there are any, else the column. */
static int compile_model(const command *c, run *r, const json_t *filter) {
  const sheaf_flag_vis *v = c->how->vis;
  if (!(sheaf_value_int(c->out, "data", 0) & SHEAF_FLAG_COL_MODEL)) return 0;
  int rc = r->models ? 0 : sheaf_flag_virtual_open(&r->models, v, c->err);
  if (rc >= 0) rc = sheaf_flag_virtual_check(r->models, json_object_get(filter, "field"), c->err);
  if (rc < 0) return sheaf_fail_context(c->err, rc, "datacolumn='%s'", text(c, "datacolumn"));
  put_int(c, "virtual", rc);
  const int has = rc ? 1 : sheaf_flag_vis_has(v, "MODEL_DATA", c->err);
  return has ? has
             : fail(c, "datacolumn='%s': %s has no column MODEL_DATA and no virtual model",
                    text(c, "datacolumn"), v->path);
}

/* Compiles one command; c->out, or NULL when it selects nothing. */
static int compile_command(command *c, run *r) {
  char name[96];
  const sheaf_flag_filter_options options = {r->ms, r->several, is_lenient(c)};
  json_t *filter = NULL;
  int empty = 0, rc;
  SHEAF_TRY(find_mode(c, &c->mode));
  SHEAF_TRY(complete(c, r));
  c->out = json_object();
  put_int(c, "mode", c->mode);
  put_int(c, "row", c->row);
  json_object_set_new(c->out, "name", json_string(report_name(c, name, sizeof name)));
  SHEAF_TRY(check_averages(c));
  SHEAF_TRY(unapply(c));
  SHEAF_TRY(compile_mode(c, r));
  SHEAF_TRY(sheaf_flag_filter_compile(c->how->vis, c->par, &options, &filter, &empty, c->err));
  SHEAF_TRY(compile_model(c, r, filter));
  if (c->mode != SHEAF_FLAG_CLIP && c->mode != SHEAF_FLAG_TFCROP && c->mode != SHEAF_FLAG_RFLAG &&
      c->mode != SHEAF_FLAG_EXTEND && c->mode != SHEAF_FLAG_ANTINT)
    r->others = 1;
  json_object_set_new(
      c->out, "sets_row",
      json_boolean(!has_text(c, "spw") &&
                   (c->mode == SHEAF_FLAG_CLIP || c->mode == SHEAF_FLAG_TFCROP ||
                    !has_text(c, "correlation"))));
  json_object_set(c->out, "filter", filter);
  r->told |= empty == SHEAF_FLAG_NO_CHANNELS;
  if (empty) {
    json_decref(c->out);
    c->out = NULL;
  }
done:
  json_decref(filter);
  return rc;
}

/* The extension after tfcrop and rflag: on the same averages, without any selection of channels and
 * correlations. With a single command the rows are those of the command. */
static json_t *extension(const command *c, const run *r) {
  json_t *filter = r->several ? json_object() : json_copy(json_object_get(c->out, "filter"));
  json_object_del(filter, "channels");
  json_t *out = json_pack(
      "{s:i, s:i, s:s, s:b, s:o, s:f, s:f, s:i, s:i, s:i, s:i}", "mode", SHEAF_FLAG_EXTEND, "row",
      (int)c->row, "name", "Extend", "sets_row", 0, "filter", filter, "growtime", 50.0, "growfreq",
      80.0, "extendpols", 1, "growaround", 0, "flagneartime", 0, "flagnearfreq", 0);
  static const char *const keys[] = {"channelavg", "timeavg", "chanbin", "timebin",
                                     "source",     "real",    "data",    "virtual"};
  for (size_t i = 0; out && i < sizeof keys / sizeof *keys; i++)
    if (json_object_get(c->out, "timebin") && json_object_get(c->out, keys[i]))
      json_object_set(out, keys[i], json_object_get(c->out, keys[i]));
  return out;
}

static int wants_extension(const command *c, run *r) {
  if (c->mode != SHEAF_FLAG_TFCROP && c->mode != SHEAF_FLAG_RFLAG) return 0;
  if (json_is_true(json_object_get(c->out, "clears"))) return 0;
  if (json_object_get(c->given, "extendflags")) r->extending = flag(c, "extendflags");
  const int wanted = r->extending;
  r->extending = 0;
  return wanted;
}

static int say_where(const command *c, int rc) {
  return c->where ? sheaf_fail_context(c->err, rc, "%s", c->where) : rc;
}

/* ---- all of them ---- */

static int skip(const command *c, run *r) {
  if (!r->nskipped++)
    snprintf(r->skipped, sizeof r->skipped, "%s: %.400s", c->where ? c->where : "command",
             c->err ? c->err->text : "");
  return c->how->skipped && json_array_append_new(c->how->skipped, json_integer(c->row))
             ? no_memory(c)
             : 0;
}

static void tell_skipped(const run *r, size_t n) {
  if (r->nskipped)
    sheaf_log(SHEAF_LOG_WARN,
              "%zu of %zu commands name antennas, spectral windows or fields that are not there, "
              "or times that end before they begin, and are left out. The first: %s",
              r->nskipped, n, r->skipped);
}

static int add_command(const sheaf_flag_compile *how, const json_t *given, size_t number, run *r,
                       json_t *agents, sheaf_error *err) {
  command c = {.how = how, .given = given, .err = err, .row = (int64_t)number};
  c.where = json_string_value(json_object_get(given, "where"));
  if (json_is_integer(json_object_get(given, "row")))
    c.row = json_integer_value(json_object_get(given, "row"));
  int rc = compile_command(&c, r);
  if (rc < 0) {
    rc = say_where(&c, rc);
    goto done;
  }
  if (!c.out && is_lenient(&c)) {
    rc = skip(&c, r);
    goto done;
  }
  if (!c.out) {
    sheaf_log(SHEAF_LOG_WARN, "%s%smode='%s' selects no rows", c.where ? c.where : "",
              c.where ? ": " : "", kModes[c.mode]);
    goto done;
  }
  if (c.mode == SHEAF_FLAG_QUACK && !(sheaf_value_double(c.out, "quackinterval", 1) > 0)) {
    sheaf_log(SHEAF_LOG_WARN, "%s%squackinterval=0 flags nothing", c.where ? c.where : "",
              c.where ? ": " : "");
    goto done;
  }
  if (c.mode == SHEAF_FLAG_QUACK && sheaf_value_int(c.out, "quackincrement", 0) && number > 0) {
    sheaf_log(SHEAF_LOG_WARN,
              "%s%squackincrement=True works in the first command of a list only; this one is "
              "left out",
              c.where ? c.where : "", c.where ? ": " : "");
    goto done;
  }
  json_array_append(agents, c.out);
  if (wants_extension(&c, r)) json_array_append_new(agents, extension(&c, r));
done:
  json_decref(c.par);
  json_decref(c.out);
  return rc < 0 ? rc : 0;
}

/* The time ranges of a long list are parsed together. */
static int parse_times(run *r, const json_t *commands, sheaf_error *err) {
  enum { MANY = 8 };
  const size_t all = json_array_size(commands);
  if (!r->ms || all < MANY) return 0;
  const char **texts = calloc(all, sizeof *texts);
  size_t n = 0;
  if (!texts) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
  for (size_t i = 0; i < all; i++) {
    const char *one =
        json_string_value(json_object_get(json_array_get(commands, i), "timerange"));
    if (one && *one) texts[n++] = one;
  }
  const int rc = sheaf_select_ms_times(r->ms, texts, n, err);
  free(texts);
  return rc;
}

/* What commands share. */
static int begin_run(run *r, const sheaf_flag_compile *how, const json_t *commands,
                     sheaf_error *err) {
  r->defaults = json_object();
  for (size_t i = 0; i < how->nparam; i++)
    json_object_set_new(r->defaults, how->params[i].name,
                        sheaf_value_parse(how->params[i].otherwise));
  const int rc = how->vis->cal ? 0 : sheaf_select_ms_open(&r->ms, how->vis->path, err);
  return rc < 0 ? rc : parse_times(r, commands, err);
}

int sheaf_flag_compile_all(const sheaf_flag_compile *how, const json_t *commands, json_t **value,
                           int *nothing, sheaf_error *err) {
  run r = {.extending = 1, .several = json_array_size(commands) > 1};
  json_t *agents = json_array();
  size_t i;
  json_t *item;
  *value = NULL;
  int rc = begin_run(&r, how, commands, err);
  if (rc >= 0) json_array_foreach((json_t *)commands, i, item) {
    if ((rc = add_command(how, item, i, &r, agents, err)) < 0) break;
  }
  sheaf_select_ms_close(r.ms);
  sheaf_flag_virtual_close(r.models);
  json_decref(r.defaults);
  if (rc >= 0) tell_skipped(&r, json_array_size(commands));
  if (rc >= 0 && r.averaging && r.others)
    rc = sheaf_fail(err, SHEAF_ERR_ARG,
                    "commands that average (channelavg, timeavg) can only be combined with modes "
                    "clip, tfcrop, rflag, extend and antint");
  if (rc < 0) {
    json_decref(agents);
    return rc;
  }
  *nothing = json_array_size(agents) > 0 ? 0 : r.told ? SHEAF_FLAG_NO_CHANNELS : 1;
  *value = json_pack("{s:o, s:f, s:b, s:b}", "agents", agents, "ntime", how->vis->cal ? 0 : r.ntime,
                     "combinescans", r.combinescans && !how->vis->cal, "buffers", r.buffers);
  return *value ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}
