// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/fields.h"

#include <casacore/casa/Quanta/MVDirection.h>
#include <casacore/measures/Measures/MCDirection.h>
#include <casacore/measures/Measures/MDirection.h>
#include <casacore/measures/Measures/MeasConvert.h>
#include <casacore/ms/MSSel/MSFieldGram.h>
#include <casacore/ms/MSSel/MSFieldParse.h>
#include <casacore/ms/MeasurementSets/MSField.h>
#include <casacore/ms/MeasurementSets/MSFieldColumns.h>
#include <casacore/tables/TaQL/ExprNode.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace {

MSField open_fields(const char* path) {
  return MSField(sheaf::open_table((std::string(path) + "/FIELD").c_str(), false));
}

int32_t* copy_ids(const std::vector<int32_t>& from) {
  auto* to = static_cast<int32_t*>(std::malloc((from.size() + 1) * sizeof(int32_t)));
  if (!to) throw Failure(SHEAF_ERR_NOMEM, "out of memory for fields");
  if (!from.empty()) std::memcpy(to, from.data(), from.size() * sizeof(int32_t));
  return to;
}

std::vector<int32_t> parse(const MSField& fields, const std::string& text) {
  Vector<Int> ids;
  try {
    const Table main(fields);
    msFieldGramParseCommand(fields, TableExprNode(main.nodeRownr()), text, ids);
  } catch (const std::exception& x) {
    std::string why(x.what());
    while (!why.empty() && std::strchr("\n ,", why.back())) why.pop_back();
    throw Failure(SHEAF_ERR_ARG, "gainfield='" + text + "': " + why);
  }
  return {ids.begin(), ids.end()};
}

int32_t nearest(const MDirection& here, const MSFieldColumns& columns, const int32_t* ids,
                size_t n) {
  double best = 1e30, second = 1e30;
  int32_t found = ids[0];
  for (size_t i = 0; i < n; i++) {
    MDirection there(columns.phaseDirMeas(ids[i]));
    there = MDirection::Convert(there, here.getRef())();
    const double apart = there.getValue().separation(here.getValue());
    if (apart < best) {
      second = best;
      best = apart;
      found = ids[i];
    } else if (apart < second)
      second = apart;
  }
  if (n > 1 && best == second)
    throw Failure(SHEAF_ERR_ARG,
                  "gainfield='nearest': two fields of the calibration table are equally near to a "
                  "field of the MS; choose with gainfield");
  return found;
}

}  // namespace

extern "C" int sheaf_fields_parse(const char* path, const char* text, int32_t** ids, size_t* n,
                                  sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, "gainfield", [&] {
    const auto list = parse(open_fields(path), text);
    *ids = copy_ids(list);
    *n = list.size();
    return 0;
  });
}

extern "C" int sheaf_fields_nearest(const char* ms_path, const char* cal_path, const int32_t* ids,
                                    size_t n, int32_t** map, size_t* nmap, sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, cal_path, [&] {
    const MSField ms(open_fields(ms_path)), cal(open_fields(cal_path));
    const MSFieldColumns ms_columns(ms), cal_columns(cal);
    for (size_t i = 0; i < n; i++)
      if (ids[i] < 0 || static_cast<rownr_t>(ids[i]) >= cal.nrow())
        throw Failure(SHEAF_ERR_DATA,
                      "FIELD_ID " + std::to_string(ids[i]) + " is not in the table's FIELD");
    std::vector<int32_t> list(ms.nrow());
    for (rownr_t row = 0; row < ms.nrow(); row++)
      list[row] = n == 1 ? ids[0] : nearest(ms_columns.phaseDirMeas(row), cal_columns, ids, n);
    *map = copy_ids(list);
    *nmap = list.size();
    return 0;
  });
}
