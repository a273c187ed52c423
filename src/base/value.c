/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tagged objects ---- */

json_t *sheaf_value_intdict(void) {
  json_t *dict = json_object();
  json_object_set_new(dict, "#int", json_true());
  return dict;
}

int sheaf_value_intdict_set(json_t *dict, int64_t key, json_t *value) {
  char name[24];
  snprintf(name, sizeof name, "%" PRId64, key);
  return json_object_set_new(dict, name, value);
}

int sheaf_value_intkey(const char *key) {
  key += *key == '-';
  return *key && key[strspn(key, "0123456789")] == '\0';
}

static json_t *array_new(const char *type, size_t n, json_t *data) {
  json_t *shape = json_array();
  json_array_append_new(shape, json_integer((json_int_t)n));
  json_t *array = json_object();
  json_object_set_new(array, "#array", json_string(type));
  json_object_set_new(array, "shape", shape);
  json_object_set_new(array, "data", data);
  return array;
}

json_t *sheaf_value_array_int(const int64_t *data, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(data[i]));
  return array_new("i8", n, list);
}

/* JSON has no NaN and no infinity: they are the texts "nan", "inf" and "-inf". */
static json_t *real_new(double x) {
  if (isnan(x)) return json_string("nan");
  if (isinf(x)) return json_string(x > 0 ? "inf" : "-inf");
  return json_real(x);
}

json_t *sheaf_value_array_double(const double *data, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, real_new(data[i]));
  return array_new("f8", n, list);
}

static int is_array(const json_t *value) {
  return json_is_string(json_object_get(value, "#array")) &&
         json_is_array(json_object_get(value, "shape")) &&
         json_is_array(json_object_get(value, "data"));
}

static int is_intdict(const json_t *value) {
  return json_object_get(value, "#int") != NULL;
}

/* The elements from *next on as nested lists. */
static json_t *nest(const json_t *shape, size_t axis, const json_t *data, size_t *next) {
  if (axis == json_array_size(shape)) return json_copy(json_array_get(data, (*next)++));
  json_t *list = json_array();
  const json_int_t n = json_integer_value(json_array_get(shape, axis));
  for (json_int_t i = 0; i < n && *next < json_array_size(data); i++)
    json_array_append_new(list, nest(shape, axis + 1, data, next));
  return list;
}

static json_t *array_lists(const json_t *array) {
  size_t next = 0;
  return nest(json_object_get(array, "shape"), 0, json_object_get(array, "data"), &next);
}

json_t *sheaf_value_plain(const json_t *value) {
  const char *key;
  size_t i;
  json_t *member, *copy;
  if (is_array(value)) return array_lists(value);
  if (json_is_object(value)) {
    copy = json_object();
    json_object_foreach((json_t *)value, key, member) {
      if (strcmp(key, "#int") != 0) json_object_set_new(copy, key, sheaf_value_plain(member));
    }
    return copy;
  }
  if (json_is_array(value)) {
    copy = json_array();
    json_array_foreach(value, i, member) json_array_append_new(copy, sheaf_value_plain(member));
    return copy;
  }
  return json_copy((json_t *)value);
}

/* ---- reading Python literals ---- */

enum { MAX_DEPTH = 100 };

typedef struct reader {
  const char *p;
  int depth;
} reader;

static void skip_blanks(reader *r) {
  r->p += strspn(r->p, " \t\r\n");
}

/* After blanks: takes c when it is next. */
static int take(reader *r, char c) {
  skip_blanks(r);
  if (*r->p != c) return 0;
  r->p++;
  return 1;
}

static json_t *read_value(reader *r);

static json_t *read_number(reader *r) {
  const char *s = r->p;
  if (*s == '+' || *s == '-') s++;
  const char *digits = s;
  s += strspn(s, "0123456789");
  size_t ndigit = (size_t)(s - digits);
  int real = 0;
  if (*s == '.') {
    real = 1;
    const size_t n = strspn(++s, "0123456789");
    s += n;
    ndigit += n;
  }
  if (ndigit == 0) return NULL;
  if (*s == 'e' || *s == 'E') {
    const char *e = s + 1 + (s[1] == '+' || s[1] == '-');
    const size_t n = strspn(e, "0123456789");
    if (n == 0) return NULL;
    real = 1;
    s = e + n;
  }
  /* 007 is no number in Python, but 00 is. */
  if (!real && ndigit > 1 && *digits == '0' && strspn(digits, "0") != ndigit) return NULL;
  const char *start = r->p;
  r->p = s;
  if (real) return json_real(strtod(start, NULL)); /* NULL when it overflows */
  errno = 0;
  const long long value = strtoll(start, NULL, 10);
  return errno ? NULL : json_integer(value);
}

/* Appends a code point in UTF-8; 0 when it is none that a text can hold. */
static int put_code_point(char **out, unsigned long c) {
  char *s = *out;
  if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  if (c < 0x80) {
    *s++ = (char)c;
  } else if (c < 0x800) {
    *s++ = (char)(0xc0 | c >> 6);
    *s++ = (char)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *s++ = (char)(0xe0 | c >> 12);
    *s++ = (char)(0x80 | (c >> 6 & 0x3f));
    *s++ = (char)(0x80 | (c & 0x3f));
  } else {
    *s++ = (char)(0xf0 | c >> 18);
    *s++ = (char)(0x80 | (c >> 12 & 0x3f));
    *s++ = (char)(0x80 | (c >> 6 & 0x3f));
    *s++ = (char)(0x80 | (c & 0x3f));
  }
  *out = s;
  return 1;
}

/* Reads exactly (hex) or up to (octal) n digits at *p. */
static int read_code(const char **p, int n, int base, unsigned long *code) {
  *code = 0;
  int i = 0;
  for (; i < n; i++) {
    const char c = **p;
    if (base == 8 ? c < '0' || c > '7' : !isxdigit((unsigned char)c)) break;
    const int digit = isdigit((unsigned char)c) ? c - '0' : tolower(c) - 'a' + 10;
    *code = *code * (unsigned long)base + (unsigned long)digit;
    (*p)++;
  }
  return base == 8 ? i > 0 : i == n;
}

/* The escape after a backslash at *p. */
static int read_escape(const char **p, char **out) {
  static const char letters[] = "ntrabfv\\'\"", values[] = "\n\t\r\a\b\f\v\\'\"";
  const char c = **p;
  if (c == '\0') return 0;
  const char *known = strchr(letters, c);
  unsigned long code;
  if (known) {
    *(*out)++ = values[known - letters];
  } else if (c >= '0' && c <= '7') {
    return read_code(p, 3, 8, &code) && put_code_point(out, code);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    (*p)++;
    return read_code(p, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, &code) && put_code_point(out, code);
  } else if (c != '\n') { /* an unknown escape stays as it is */
    *(*out)++ = '\\';
    *(*out)++ = c;
  }
  (*p)++;
  return 1;
}

static json_t *read_string(reader *r) {
  const char quote = *r->p;
  const char *p = r->p + 1;
  char *text = malloc(strlen(p) + 1); /* no escape is shorter than what it stands for */
  if (!text) return NULL;
  char *out = text;
  json_t *value = NULL;
  int good = 1;
  while (good && *p && *p != quote) {
    if (*p != '\\') {
      *out++ = *p++;
    } else {
      p++;
      good = read_escape(&p, &out);
    }
  }
  if (good && *p == quote) {
    value = json_stringn(text, (size_t)(out - text));
    r->p = p + 1;
  }
  free(text);
  return value;
}

/* An item without quotes, up to the next comma or the end of the list: [a.ms,1~3]. */
static json_t *read_bare_item(reader *r, char close) {
  const char stops[] = {',', close, ' ', '\t', '\n', '\'', '"', '[', ']', '(', ')', '{', '}', '\0'};
  const char *text = r->p;
  const size_t n = strcspn(text, stops);
  r->p += n;
  skip_blanks(r);
  return n > 0 && (*r->p == ',' || *r->p == close) ? json_stringn(text, n) : NULL;
}

/* *bare: 1 when it had no quotes and is no other value. */
static json_t *read_item(reader *r, char close, int *bare) {
  *bare = 0;
  skip_blanks(r);
  const reader start = *r;
  json_t *item = read_value(r);
  const reader end = *r;
  if (item && (take(r, ',') || take(r, close))) {
    *r = end;
    return item;
  }
  json_decref(item);
  *r = start;
  *bare = 1;
  return read_bare_item(r, close);
}

static json_t *read_list(reader *r, char close) {
  json_t *list = json_array();
  int comma = 1, bare = 0;
  while (!take(r, close)) {
    json_t *item = comma ? read_item(r, close, &bare) : NULL;
    if (!item) {
      json_decref(list);
      return NULL;
    }
    json_array_append_new(list, item);
    comma = take(r, ',');
  }
  if (close == ')' && !comma && json_array_size(list) == 1) {          /* (1) is 1, (1,) a tuple */
    json_t *item = bare ? NULL : json_incref(json_array_get(list, 0)); /* (a) is a text */
    json_decref(list);
    return item;
  }
  return list;
}

/* Keys are texts, or all of them integers. */
static int put_member(json_t *dict, json_t *key, json_t *value) {
  if (json_is_integer(key)) {
    if (json_object_size(dict) == 0) json_object_set_new(dict, "#int", json_true());
    if (is_intdict(dict)) return sheaf_value_intdict_set(dict, json_integer_value(key), value);
  } else if (json_is_string(key) && !is_intdict(dict) && json_string_value(key)[0] != '#') {
    return json_object_set_new(dict, json_string_value(key), value);
  }
  json_decref(value);
  return -1;
}

static json_t *read_dict(reader *r) {
  json_t *dict = json_object();
  int comma = 1;
  while (!take(r, '}')) {
    json_t *key = comma ? read_value(r) : NULL;
    json_t *value = key && take(r, ':') ? read_value(r) : NULL;
    const int rc = value ? put_member(dict, key, value) : -1;
    json_decref(key);
    if (rc < 0) {
      json_decref(dict);
      return NULL;
    }
    comma = take(r, ',');
  }
  return dict;
}

static json_t *read_word(reader *r) {
  size_t n = 0;
  while (isalnum((unsigned char)r->p[n]) || r->p[n] == '_') n++;
  const char *word = r->p;
  r->p += n;
  if (n == 4 && !strncmp(word, "True", n)) return json_true();
  if (n == 5 && !strncmp(word, "False", n)) return json_false();
  if (n == 4 && !strncmp(word, "None", n)) return json_null();
  return NULL;
}

/* One value; NULL when there is none. */
static json_t *read_value(reader *r) {
  json_t *value = NULL;
  skip_blanks(r);
  if (++r->depth > MAX_DEPTH) return NULL;
  const char c = *r->p;
  if (c == '\'' || c == '"') {
    value = read_string(r);
  } else if (c == '[' || c == '(') {
    r->p++;
    value = read_list(r, c == '[' ? ']' : ')');
  } else if (c == '{') {
    r->p++;
    value = read_dict(r);
  } else if (isalpha((unsigned char)c)) {
    value = read_word(r);
  } else if (c) {
    value = read_number(r);
  }
  r->depth--;
  return value;
}

json_t *sheaf_value_parse(const char *text) {
  reader r = {.p = text};
  json_t *value = read_value(&r);
  skip_blanks(&r);
  if (value && *r.p == '\0') return value;
  json_decref(value);
  return json_string(text);
}

/* ---- printing as Python does ---- */

static void print_value(FILE *out, const json_t *value);

/* The fewest digits that read back as the same number; exponent form as Python chooses it. */
static void print_real(FILE *out, double x) {
  char text[40];
  int ndigit = 1;
  do {
    snprintf(text, sizeof text, "%.*e", ndigit - 1, x);
  } while (strtod(text, NULL) != x && ++ndigit <= 17);
  const int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
  if (exponent >= -4 && exponent < 16) {
    const int decimals = ndigit - 1 - exponent;
    fprintf(out, "%.*f", decimals > 1 ? decimals : 1, x);
  } else {
    fputs(text, out);
  }
}

/* Decodes the (valid) UTF-8 character at *p and moves behind it. */
static unsigned next_code_point(const char **p) {
  const unsigned char *s = (const unsigned char *)*p;
  const int n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  unsigned c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
  for (int i = 1; i < n; i++) c = c << 6 | (s[i] & 0x3f);
  *p += n;
  return c;
}

/* Controls, separators other than the blank, format characters, and private use. */
static int is_printable(unsigned c) {
  static const unsigned ranges[][2] = {
      {0, 0x1f},          {0x7f, 0xa0},       {0xad, 0xad},     {0x600, 0x605},   {0x61c, 0x61c},
      {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
      {0x3000, 0x3000},   {0xe000, 0xf8ff},   {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xfffe, 0xffff},
      {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (c >= ranges[i][0] && c <= ranges[i][1]) return 0;
  return 1;
}

static void print_string(FILE *out, const char *text) {
  const char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
  fputc(quote, out);
  for (const char *p = text; *p;) {
    const char *start = p;
    const unsigned c = next_code_point(&p);
    const char *known = c < 0x80 ? strchr("\nn\rr\tt\\\\", (int)c) : NULL;
    if (known && (c == '\\' || c < ' '))
      fprintf(out, "\\%c", known[1]);
    else if (c == (unsigned)quote)
      fprintf(out, "\\%c", quote);
    else if (is_printable(c))
      fwrite(start, 1, (size_t)(p - start), out);
    else
      fprintf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
  }
  fputc(quote, out);
}

static void print_list(FILE *out, const json_t *list) {
  size_t i;
  json_t *item;
  fputc('[', out);
  json_array_foreach(list, i, item) {
    if (i) fputs(", ", out);
    print_value(out, item);
  }
  fputc(']', out);
}

static void print_dict(FILE *out, const json_t *dict) {
  const int ints = is_intdict(dict);
  const char *key, *sep = "";
  json_t *member;
  fputc('{', out);
  json_object_foreach((json_t *)dict, key, member) {
    if (ints && !strcmp(key, "#int")) continue;
    fputs(sep, out);
    if (ints && sheaf_value_intkey(key))
      fputs(key, out);
    else
      print_string(out, key);
    fputs(": ", out);
    print_value(out, member);
    sep = ", ";
  }
  fputc('}', out);
}

static void print_array(FILE *out, const json_t *array) {
  json_t *lists = array_lists(array);
  fputs("array(", out);
  print_value(out, lists);
  fputc(')', out);
  json_decref(lists);
}

static void print_value(FILE *out, const json_t *value) {
  if (json_is_string(value))
    print_string(out, json_string_value(value));
  else if (json_is_integer(value))
    fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
  else if (json_is_real(value))
    print_real(out, json_real_value(value));
  else if (json_is_boolean(value))
    fputs(json_is_true(value) ? "True" : "False", out);
  else if (is_array(value))
    print_array(out, value);
  else if (json_is_object(value))
    print_dict(out, value);
  else if (json_is_array(value))
    print_list(out, value);
  else
    fputs("None", out);
}

char *sheaf_value_repr(const json_t *value) {
  char *text = NULL;
  size_t n;
  FILE *out = open_memstream(&text, &n);
  if (!out) return NULL;
  print_value(out, value);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

/* ---- members ---- */

const char *sheaf_value_str(const json_t *object, const char *key, const char *otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_string(value) ? json_string_value(value) : otherwise;
}

int64_t sheaf_value_int(const json_t *object, const char *key, int64_t otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

double sheaf_value_double(const json_t *object, const char *key, double otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

int sheaf_value_bool(const json_t *object, const char *key, int otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
