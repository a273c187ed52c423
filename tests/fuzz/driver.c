/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs a fuzz target without libFuzzer: each seed file as it is, cut at every length, and with
 * `runs` random changes. Usage: fuzz_NAME RUNS SEED-FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

/* Sets, adds to or moves a few bytes; lengths and counts are likely hit by small or huge values. */
static void change(uint8_t *data, size_t n) {
  static const uint8_t liked[] = {0, 1, 2, 0x7f, 0x80, 0xbe, 0xff};
  for (uint64_t k = 1 + next() % 4; k > 0; k--) {
    const size_t at = next() % n;
    switch (next() % 4) {
      case 0:
        data[at] = (uint8_t)next();
        break;
      case 1:
        data[at] = liked[next() % sizeof liked];
        break;
      case 2:
        data[at] = (uint8_t)(data[at] + (next() % 2 ? 1 : -1));
        break;
      default: {
        const size_t from = next() % n, most = n - (at > from ? at : from);
        memmove(data + at, data + from, 1 + next() % most);
        break;
      }
    }
  }
}

static void run_seed(const uint8_t *seed, size_t n, long runs) {
  uint8_t *data = malloc(n);
  LLVMFuzzerTestOneInput(seed, n);
  for (size_t k = 0; k < n; k++) LLVMFuzzerTestOneInput(seed, k);
  for (long i = 0; i < runs; i++) {
    memcpy(data, seed, n);
    change(data, n);
    LLVMFuzzerTestOneInput(data, next() % 8 ? n : next() % n);
  }
  free(data);
}

int main(int argc, char **argv) {
  static uint8_t seed[1 << 20];
  for (int i = 2; i < argc; i++) {
    FILE *f = fopen(argv[i], "rb");
    const size_t n = f ? fread(seed, 1, sizeof seed, f) : 0;
    if (f) fclose(f);
    if (n == 0) {
      fprintf(stderr, "no seed in %s\n", argv[i]);
      return 1;
    }
    run_seed(seed, n, strtol(argv[1], NULL, 10));
  }
  return argc > 2 ? 0 : 1;
}
