// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/model.h"

#include <casacore/tables/Tables/ScaRecordColDesc.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/tree.h"
#include "table/casacore_log.h"
#include "table/isolate.hh"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace {

const std::string kPrefix = "definedmodel_field_";

std::vector<sheaf_model> list_models(const Table& table) {
  std::vector<sheaf_model> found;
  const TableRecord& keywords = table.keywordSet();
  for (uInt i = 0; i < keywords.nfields(); i++) {
    const std::string name = keywords.name(i);
    if (name.compare(0, kPrefix.size(), kPrefix) || keywords.dataType(i) != TpString) continue;
    sheaf_model m = {};
    m.field = std::atoi(name.c_str() + kPrefix.size());
    const String key = keywords.asString(i);
    std::snprintf(m.key, sizeof m.key, "%s", key.c_str());
    m.defined = keywords.isDefined(key);
    found.push_back(m);
  }
  std::sort(found.begin(), found.end(),
            [](const sheaf_model& a, const sheaf_model& b) { return a.field < b.field; });
  return found;
}

void empty_cell(Table& source, Int row) {
  if (!source.tableDesc().isColumn("SOURCE_MODEL") || row < 0 ||
      static_cast<rownr_t>(row) >= source.nrow())
    return;
  ScalarColumn<TableRecord>(source, "SOURCE_MODEL").put(row, TableRecord());
}

void clear_one(Table& source, const sheaf_model& model) {
  TableRecord& keywords = source.rwKeywordSet();
  if (keywords.isDefined(model.key)) {
    if (keywords.dataType(model.key) == TpInt) empty_cell(source, keywords.asInt(model.key));
    keywords.removeField(model.key);
  }
  const std::string name = kPrefix + std::to_string(model.field);
  if (keywords.isDefined(name)) keywords.removeField(name);
}

// Images that held models, in the table's directory.
int remove_images(const char* path, sheaf_error* err) {
  DIR* dir = opendir(path);
  std::vector<std::string> names;
  if (!dir) return 0;
  while (const dirent* entry = readdir(dir))
    if (!std::strncmp(entry->d_name, "FT_MODEL", 8))
      names.push_back(std::string(path) + "/" + entry->d_name);
  closedir(dir);
  for (const auto& name : names) {
    const int rc = sheaf_tree_remove(name.c_str(), err);
    if (rc < 0) return rc;
  }
  return 0;
}

}  // namespace

extern "C" int sheaf_model_list(const char* path, sheaf_model** models, size_t* n,
                                sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    const auto found = list_models(sheaf::open_table(path, false));
    *models = static_cast<sheaf_model*>(std::malloc((found.size() + 1) * sizeof(sheaf_model)));
    if (!*models) throw Failure(SHEAF_ERR_NOMEM, "out of memory");
    std::copy(found.begin(), found.end(), *models);
    *n = found.size();
    return 0;
  });
}

extern "C" int sheaf_model_clear(const char* source_path, const sheaf_model* models, size_t n,
                                 sheaf_error* err) {
  sheaf_casacore_log_install();
  return sheaf::isolated(err, source_path, [&](sheaf_error* inner) {
    return guard(inner, source_path, [&] {
      Table source(sheaf::open_table(source_path, true));
      const std::vector<sheaf_model> all = list_models(source);
      for (const sheaf_model& model : models ? std::vector<sheaf_model>(models, models + n) : all)
        clear_one(source, model);
      sheaf::flush(source, true);
      return list_models(source).empty() ? remove_images(source_path, inner) : 0;
    });
  });
}
