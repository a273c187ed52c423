/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * agent.h - a flag command made ready to run: mode, numbers, and a selection in ids.
 *
 * The client compiles commands once (expressions are parsed by casacore there) into a JSON value, so
 * that a bad one is told before anything is written and no unit parses anything. A unit makes agents
 * of that value. An agent belongs to one thread. */
#ifndef SHEAF_FLAG_AGENT_H
#define SHEAF_FLAG_AGENT_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "base/params.h"
#include "flag/filter.h"
#include "flag/vis.h"
#include "kernel/flag_clip.h"
#include "kernel/flag_expression.h"
#include "kernel/flag_extend.h"
#include "kernel/flag_rules.h"
#include "kernel/flag_tfcrop.h"

typedef enum sheaf_flag_mode {
  SHEAF_FLAG_MANUAL,
  SHEAF_FLAG_UNFLAG,
  SHEAF_FLAG_CLIP,
  SHEAF_FLAG_QUACK,
  SHEAF_FLAG_SHADOW,
  SHEAF_FLAG_ELEVATION,
  SHEAF_FLAG_TFCROP,
  SHEAF_FLAG_RFLAG,
  SHEAF_FLAG_ANTINT,
  SHEAF_FLAG_EXTEND,
  SHEAF_FLAG_SUMMARY,
  SHEAF_FLAG_NMODE
} sheaf_flag_mode;

/* "clip" and so on. */
const char *sheaf_flag_mode_name(sheaf_flag_mode mode);

/* Columns with data, as bits. */
enum {
  SHEAF_FLAG_COL_DATA = 1, /* or FLOAT_DATA, where the MS has that */
  SHEAF_FLAG_COL_CORRECTED = 2,
  SHEAF_FLAG_COL_MODEL = 4,
  SHEAF_FLAG_COL_WEIGHT_SPECTRUM = 8,
  SHEAF_FLAG_COL_WEIGHT = 16,
  SHEAF_FLAG_COL_SIGMA_SPECTRUM = 32,
  SHEAF_FLAG_COL_SIGMA = 64,
  SHEAF_FLAG_COL_PARAM = 128, /* CPARAM or FPARAM */
  SHEAF_FLAG_COL_SNR = 256
};

/* What a decision is made on. */
typedef enum sheaf_flag_source {
  SHEAF_FLAG_ON_DATA,
  SHEAF_FLAG_ON_CORRECTED,
  SHEAF_FLAG_ON_MODEL,
  SHEAF_FLAG_ON_RESIDUAL,      /* CORRECTED - MODEL */
  SHEAF_FLAG_ON_RESIDUAL_DATA, /* DATA - MODEL */
  SHEAF_FLAG_ON_WEIGHT_SPECTRUM, /* where it has cells, else WEIGHT in every channel */
  SHEAF_FLAG_ON_WEIGHT,          /* the same, but there need be no WEIGHT_SPECTRUM */
  SHEAF_FLAG_ON_SIGMA_SPECTRUM,
  SHEAF_FLAG_ON_PARAM,
  SHEAF_FLAG_ON_SNR
} sheaf_flag_source;

/* Thresholds of rflag by field and spw. */
typedef struct sheaf_flag_devs {
  double all; /* for everything; 0: see rows */
  size_t n;
  double *row; /* [n][3] field, spw, value */
} sheaf_flag_devs;

typedef struct sheaf_flag_agent {
  sheaf_flag_mode mode;
  char name[96];  /* of its report */
  char quack[16]; /* key of its scan limits in the tables of the run */
  sheaf_flag_filter filter;
  int clears;    /* unflag, and commands that are unapplied */
  int sets_row;  /* FLAG_ROW follows */
  int has_corrs; /* a correlation selection */
  uint64_t *corrs; /* [npol] bits; without a selection all */
  int has_chan;
  size_t nrange;
  int32_t (*range)[3]; /* spw, first, last */
  /* clip, tfcrop, rflag */
  sheaf_flag_expression expression;
  sheaf_flag_source source;
  int real; /* the numbers are real */
  int virtual_model; /* MODEL may be virtual (flag/virtual.h) */
  unsigned data; /* SHEAF_FLAG_COL_… it needs */
  int channelavg, timeavg;
  size_t nchanbin;
  int64_t *chanbin; /* one, or one per selected spw */
  double timebin;   /* s */
  sheaf_flag_clip_options clip;
  sheaf_flag_tfcrop_options tfcrop;
  sheaf_flag_extend_options extend;
  struct {
    int winsize;
    double timedevscale, freqdevscale, spectralmin, spectralmax;
    sheaf_flag_devs timedev, freqdev;
  } rflag;
  struct {
    sheaf_flag_quack_mode mode;
    double interval;
    int increment;
  } quack_options;
  double lower, upper; /* elevation, degrees */
  int spwchan, spwcorr, basecnt, fieldcnt;
  const json_t *tables; /* what earlier rounds found for it (scan limits, bad times, shadows) */
} sheaf_flag_agent;

/* All commands of a run. */
typedef struct sheaf_flag_agents {
  size_t n;
  sheaf_flag_agent *agent;
  unsigned columns; /* SHEAF_ROWS_TIME …: of rows, that any looks at */
  unsigned data;    /* SHEAF_FLAG_COL_… */
  int buffers;      /* rows are needed by baseline and buffer */
  int writes;       /* flags may change */
  int virtual_model;
} sheaf_flag_agents;

typedef struct sheaf_flag_compile {
  const sheaf_flag_vis *vis;
  const sheaf_param *params; /* flagdata's */
  size_t nparam;
  int list; /* the commands are of a list: they select for themselves */
  json_t *skipped; /* filled with the numbers of commands that were left out, as a telescope wrote
                      them (member "machine") for what the MS lacks; or NULL */
} sheaf_flag_compile;

/* Compiles an array of commands (task/flagging.h). *value:
 * {"agents": [...], "ntime": seconds, "combinescans": bool, "buffers": bool}.
 * Commands that select nothing are left out with a warning; *nothing is 1 when none is left. */
int sheaf_flag_compile_all(const sheaf_flag_compile *how, const json_t *commands, json_t **value,
                           int *nothing, sheaf_error *err);

/* Agents of a compiled value, which must outlive them. */
int sheaf_flag_agents_make(sheaf_flag_agents *agents, const sheaf_flag_vis *vis,
                           const json_t *value, sheaf_error *err);
void sheaf_flag_agents_free(sheaf_flag_agents *agents);
/* 1 when an rflag has to find thresholds in the data. */
int sheaf_flag_agents_need_thresholds(const sheaf_flag_agents *agents);

/* Thresholds of a timedev or freqdev: a number, rows, or the file's name. */
int sheaf_flag_devs_read(const json_t *given, const char *key, json_t **devs, sheaf_error *err);

#endif
