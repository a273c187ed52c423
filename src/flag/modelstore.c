/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/modelstore.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "base/file.h"
#include "base/memory.h"

enum { KEPT = 8, MOST_CORR = 4, MOST_FILES = 64 };
static const int64_t most_bytes = (int64_t)16 << 20;
static const size_t most_kept = (size_t)1 << 20; /* SOURCE of models that stay without users */

struct sheaf_modelstore_sky {
  XXH128_hash_t key;
  int shared; /* others may find it by the key */
  size_t bytes;
  int users;
  uint64_t used;
  sheaf_skymodel *model;
  sheaf_modelstore_sky *next;
};

typedef struct entry {
  sheaf_model_table table; /* first: given back by its address */
  const sheaf_modelstore_sky *sky;
  int number, users;
  int32_t field, spw, corr[MOST_CORR];
  size_t ncorr, bytes;
  uint64_t used;
  struct entry *next;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sheaf_modelstore_sky *skies;
static entry *entries;
static size_t table_bytes;
static uint64_t clock_now;

/* ---- contents ---- */

static int by_name(const void *a, const void *b) {
  return strcmp(a, b);
}

/* Names of the files of a table that hold what it says; -1 when there are too many. */
static int files_of(const char *dir, char (*name)[64]) {
  DIR *d = opendir(dir);
  int n = 0;
  if (!d) return -1;
  for (const struct dirent *e; n >= 0 && (e = readdir(d));) {
    if (strncmp(e->d_name, "table.", 6) != 0 || !strcmp(e->d_name, "table.lock") ||
        !strcmp(e->d_name, "table.info"))
      continue;
    if (n == MOST_FILES || strlen(e->d_name) > 63)
      n = -1;
    else
      snprintf(name[n++], 64, "%s", e->d_name);
  }
  closedir(d);
  if (n > 0) qsort(name, (size_t)n, sizeof *name, by_name);
  return n;
}

/* Adds a table's files; 0 when they cannot be read. */
static int add_table(XXH3_state_t *hash, const char *ms, const char *table, size_t *bytes) {
  char dir[PATH_MAX], path[PATH_MAX + 64], name[MOST_FILES][64];
  if (snprintf(dir, sizeof dir, "%s/%s", ms, table) >= (int)sizeof dir) return 0;
  const int n = files_of(dir, name);
  for (int i = 0; i < n; i++) {
    sheaf_error ignored = {0};
    char *data = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name[i]);
    if (sheaf_file_read(path, &data, &size, &ignored) < 0) return 0;
    XXH3_128bits_update(hash, name[i], strlen(name[i]) + 1);
    XXH3_128bits_update(hash, &size, sizeof size);
    XXH3_128bits_update(hash, data, size);
    *bytes += size;
    free(data);
  }
  return n > 0;
}

/* Whether the main table itself has no models, and its sub-tables are those inside of it. */
static int is_usual(const char *ms, const char *const *sub, size_t n) {
  static const char model[] = "definedmodel_field_";
  char path[PATH_MAX], *data = NULL;
  sheaf_error ignored = {0};
  size_t size = 0;
  if (snprintf(path, sizeof path, "%s/table.dat", ms) >= (int)sizeof path ||
      sheaf_file_read(path, &data, &size, &ignored) < 0)
    return 0;
  int usual = !memmem(data, size, model, sizeof model - 1);
  for (size_t i = 0; usual && i < n; i++) {
    char keyword[64];
    const int length = snprintf(keyword, sizeof keyword, "././%s", sub[i]);
    usual = memmem(data, size, keyword, (size_t)length) != NULL;
  }
  free(data);
  return usual;
}

/* What makes two MSs' models equal; 0 when that is not known. */
static int key_of(const char *ms, const char *first, XXH128_hash_t *key, size_t *bytes) {
  static const char *const sub[] = {"SOURCE", "FIELD", "SPECTRAL_WINDOW", "ANTENNA"};
  const size_t n = sizeof sub / sizeof *sub;
  XXH3_state_t *hash = XXH3_createState();
  int known = hash != NULL && is_usual(ms, sub, n);
  *bytes = 0;
  if (known) {
    XXH3_128bits_reset(hash);
    XXH3_128bits_update(hash, first, strlen(first));
  }
  for (size_t i = 0; known && i < n; i++) known = add_table(hash, ms, sub[i], bytes);
  if (known) *key = XXH3_128bits_digest(hash);
  XXH3_freeState(hash);
  return known;
}

/* ---- parts ---- */

size_t sheaf_model_part_bytes(size_t n, int64_t nchan, size_t ncorr) {
  return n * (sizeof(sheaf_sky_component) + sizeof(sheaf_component)) +
         (size_t)nchan * (sizeof(double) + n * ncorr * 2 * sizeof(double));
}

void sheaf_model_part_free(sheaf_model_part *part) {
  sheaf_sky_components_free(part->sky, part->setup.n, part->freq_hz);
  free(part->component);
  *part = (sheaf_model_part){0};
}

int sheaf_model_part_make(sheaf_model_part *part, const sheaf_skymodel *model, int number,
                          const sheaf_sky_view *view, const sheaf_sky_part *which,
                          sheaf_error *err) {
  *part = (sheaf_model_part){0};
  int rc = sheaf_skymodel_components(model, number, view, which, &part->sky, &part->freq_hz, err);
  if (rc < 0) return rc;
  part->component = calloc(which->n + 1, sizeof *part->component);
  part->setup = (sheaf_component_setup){part->component, which->n, part->freq_hz, which->nchan,
                                        (int64_t)view->ncorr};
  if (!part->component) {
    sheaf_model_part_free(part);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a virtual model");
  }
  for (size_t i = 0; i < which->n; i++) {
    const sheaf_sky_component *from = &part->sky[i];
    sheaf_component *to = &part->component[i];
    *to = (sheaf_component){.shape = (sheaf_component_shape)from->shape,
                            .major_rad = from->major_rad,
                            .minor_rad = from->minor_rad,
                            .angle_rad = from->angle_rad,
                            .flux = from->flux};
    memcpy(to->rotation, from->rotation, sizeof to->rotation);
    memcpy(to->path, from->path, sizeof to->path);
  }
  return 0;
}

/* ---- tables ---- */

static void remove_entry(entry **at) {
  entry *e = *at;
  *at = e->next;
  table_bytes -= e->bytes;
  sheaf_model_part_free(&e->table.part);
  free(e->table.same);
  free(e);
}

/* The unused table that was used longest ago goes; 0 when there is none. */
static int remove_oldest(void) {
  entry **oldest = NULL;
  for (entry **at = &entries; *at; at = &(*at)->next)
    if (!(*at)->users && (!oldest || (*at)->used < (*oldest)->used)) oldest = at;
  if (oldest) remove_entry(oldest);
  return oldest != NULL;
}

static int make_room(size_t bytes) {
  const int64_t some = sheaf_memory_budget() / 32;
  const size_t most = (size_t)(some < most_bytes ? some : most_bytes);
  if (bytes > most) return 0;
  while (table_bytes + bytes > most)
    if (!remove_oldest()) return 0;
  return 1;
}

static entry *find_entry(const sheaf_modelstore_sky *sky, int number, const sheaf_sky_view *view) {
  for (entry *e = entries; e; e = e->next)
    if (e->sky == sky && e->number == number && e->field == view->field && e->spw == view->spw &&
        e->ncorr == view->ncorr && !memcmp(e->corr, view->corr, view->ncorr * sizeof *e->corr))
      return e;
  return NULL;
}

static int fill_table(sheaf_model_table *t, const sheaf_modelstore_sky *sky, int number,
                      const sheaf_sky_view *view, const sheaf_sky_part *all, sheaf_error *err) {
  const int rc = sheaf_model_part_make(&t->part, sky->model, number, view, all, err);
  if (rc < 0) return rc;
  t->varies = sheaf_components_vary(&t->part.setup);
  if (t->varies) return 0;
  t->same = malloc(((size_t)all->nchan * view->ncorr * 2 + 1) * sizeof *t->same);
  if (!t->same) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a virtual model");
  sheaf_components_row(&t->part.setup, (const double[3]){0, 0, 0}, t->same);
  return 0;
}

static int add_entry(const sheaf_modelstore_sky *sky, int number, const sheaf_sky_view *view,
                     entry **made, sheaf_error *err) {
  sheaf_sky_part all = {0};
  int rc = sheaf_skymodel_size(sky->model, number, view, &all.n, &all.nchan, err);
  if (rc < 0) return rc;
  const size_t bytes = sizeof(entry) + sheaf_model_part_bytes(all.n, all.nchan, view->ncorr) +
                       (size_t)all.nchan * view->ncorr * 2 * sizeof(float);
  if (view->ncorr > MOST_CORR || !make_room(bytes)) return 0;
  entry *e = calloc(1, sizeof *e);
  if (!e) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a virtual model");
  e->sky = sky;
  e->number = number;
  e->field = view->field;
  e->spw = view->spw;
  e->ncorr = view->ncorr;
  e->bytes = bytes;
  memcpy(e->corr, view->corr, view->ncorr * sizeof *e->corr);
  e->next = entries;
  entries = e;
  table_bytes += bytes;
  rc = fill_table(&e->table, sky, number, view, &all, err);
  if (rc < 0)
    remove_entry(&entries);
  else
    *made = e;
  return rc;
}

int sheaf_modelstore_table(sheaf_modelstore_sky *sky, int number, const sheaf_sky_view *view,
                           const sheaf_model_table **table, sheaf_error *err) {
  int rc = 0;
  pthread_mutex_lock(&lock);
  entry *e = view->ncorr <= MOST_CORR ? find_entry(sky, number, view) : NULL;
  if (!e) rc = add_entry(sky, number, view, &e, err);
  if (e) {
    e->users++;
    e->used = ++clock_now;
  }
  pthread_mutex_unlock(&lock);
  *table = e ? &e->table : NULL;
  return rc;
}

void sheaf_modelstore_give(const sheaf_model_table *table) {
  if (!table) return;
  pthread_mutex_lock(&lock);
  ((entry *)(uintptr_t)table)->users--;
  pthread_mutex_unlock(&lock);
}

/* ---- skies ---- */

static void remove_sky(sheaf_modelstore_sky **at) {
  sheaf_modelstore_sky *s = *at;
  *at = s->next;
  for (entry **e = &entries; *e;)
    if ((*e)->sky == s)
      remove_entry(e);
    else
      e = &(*e)->next;
  sheaf_skymodel_close(s->model);
  free(s);
}

static sheaf_modelstore_sky **place_of(const sheaf_modelstore_sky *sky) {
  sheaf_modelstore_sky **at = &skies;
  while (*at && *at != sky) at = &(*at)->next;
  return at;
}

static sheaf_modelstore_sky *find_sky(const XXH128_hash_t *key) {
  for (sheaf_modelstore_sky *s = skies; s; s = s->next)
    if (s->shared && XXH128_isEqual(s->key, *key)) return s;
  return NULL;
}

/* Of those without users the last KEPT stay. */
static void sweep(void) {
  for (;;) {
    sheaf_modelstore_sky **oldest = NULL;
    int n = 0;
    for (sheaf_modelstore_sky **at = &skies; *at; at = &(*at)->next) {
      if ((*at)->users) continue;
      n++;
      if (!oldest || (*at)->used < (*oldest)->used) oldest = at;
    }
    if (n <= KEPT) return;
    remove_sky(oldest);
  }
}

static int add_sky(sheaf_modelstore_sky **sky, const char *ms, const char *first,
                   sheaf_error *err) {
  sheaf_modelstore_sky *s = *sky = calloc(1, sizeof *s);
  if (!s) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for models", ms);
  const int rc = sheaf_skymodel_open(&s->model, ms, first, err);
  if (rc < 0) {
    free(s);
    *sky = NULL;
    return rc;
  }
  s->next = skies;
  skies = s;
  return 0;
}

int sheaf_modelstore_open(sheaf_modelstore_sky **sky, const char *ms, const char *first,
                          sheaf_error *err) {
  XXH128_hash_t key = {0, 0};
  size_t bytes;
  int rc = 0;
  const int known = key_of(ms, first, &key, &bytes);
  pthread_mutex_lock(&lock);
  *sky = known ? find_sky(&key) : NULL;
  if (!*sky && (rc = add_sky(sky, ms, first, err)) >= 0) {
    (*sky)->key = key;
    (*sky)->shared = known;
    (*sky)->bytes = bytes;
  }
  if (*sky) (*sky)->users++;
  pthread_mutex_unlock(&lock);
  return rc;
}

void sheaf_modelstore_close(sheaf_modelstore_sky *sky) {
  if (!sky) return;
  pthread_mutex_lock(&lock);
  sky->used = ++clock_now;
  if (!--sky->users && (!sky->shared || sky->bytes > most_kept || sheaf_skymodel_timed(sky->model)))
    remove_sky(place_of(sky));
  sweep();
  pthread_mutex_unlock(&lock);
}

const sheaf_skymodel *sheaf_modelstore_model(const sheaf_modelstore_sky *sky) {
  return sky->model;
}
