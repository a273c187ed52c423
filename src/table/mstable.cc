// SPDX-License-Identifier: GPL-3.0-or-later
//
// mstable.cc - making the main table of a MeasurementSet.
#include <casacore/tables/DataMan/IncrementalStMan.h>
#include <casacore/tables/DataMan/StandardStMan.h>
#include <casacore/tables/DataMan/TiledColumnStMan.h>
#include <casacore/tables/DataMan/TiledShapeStMan.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/ColumnDesc.h>
#include <casacore/tables/Tables/SetupNewTab.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <set>

#include "table/isolate.hh"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;
using sheaf::open_table;

namespace {

// Keywords that would tell a reader a row order that the new table does not have.
const std::set<std::string> kOrder = {"SORT_COLUMNS", "SORT_ORDER", "SORTED_TABLE"};

const std::set<std::string> kChangesOften = {"ANTENNA1", "ANTENNA2", "DATA_DESC_ID", "FLAG_ROW"};

template <class T>
ColumnDesc array_description(const ColumnDesc& old, const String& name, Int ndim) {
  ColumnDesc desc(ArrayColumnDesc<T>(name, old.comment(), "TiledShapeStMan", "Tiled" + name, ndim));
  desc.rwKeywordSet() = old.keywordSet();
  return desc;
}

// An array column of variable shape after a column that may have had a fixed one. A tiled manager
// must be told the number of axes.
ColumnDesc bulk_description(const ColumnDesc& old, const sheaf_column_plan& plan) {
  const String name = plan.name;
  const Int fixed = old.shape().nelements();
  const Int ndim = old.ndim() > 0 ? old.ndim() : (fixed ? fixed : plan.ndim);
  switch (old.dataType()) {
    case TpBool:
      return array_description<Bool>(old, name, ndim);
    case TpUChar:
      return array_description<uChar>(old, name, ndim);
    case TpShort:
      return array_description<Short>(old, name, ndim);
    case TpInt:
      return array_description<Int>(old, name, ndim);
    case TpUInt:
      return array_description<uInt>(old, name, ndim);
    case TpFloat:
      return array_description<Float>(old, name, ndim);
    case TpDouble:
      return array_description<Double>(old, name, ndim);
    case TpComplex:
      return array_description<Complex>(old, name, ndim);
    case TpDComplex:
      return array_description<DComplex>(old, name, ndim);
    case TpInt64:
      return array_description<Int64>(old, name, ndim);
    default:
      throw Failure(SHEAF_ERR_DATA, "column " + old.name() + " holds no numeric arrays");
  }
}

// Adds a column under its new name. Renaming happens in a description of its own: the old name may
// be taken.
void add_column(TableDesc& desc, const ColumnDesc& old, const sheaf_column_plan& plan) {
  if (plan.bulk) {
    desc.addColumn(bulk_description(old, plan));
    return;
  }
  TableDesc alone("", TableDesc::Scratch);
  alone.addColumn(old);
  if (old.name() != plan.name) alone.renameColumn(plan.name, old.name());
  ColumnDesc& fresh = alone.rwColumnDesc(plan.name);
  fresh.dataManagerType() = "StandardStMan";
  fresh.dataManagerGroup() = plan.name;
  desc.addColumn(fresh);
}

IPosition tile_shape(const ColumnDesc& desc) {
  // A default only: the real tiles are made with the cells (tiles.h).
  const Int ndim = desc.ndim() > 0 ? desc.ndim() : 2;
  IPosition shape(ndim + 1, 4);
  shape[ndim] = 1024;
  return shape;
}

void bind_column(SetupNewTable& setup, const ColumnDesc& desc, const sheaf_column_plan& plan,
                 const StandardStMan& ssm, const IncrementalStMan& ism) {
  const String& name = desc.name();
  if (plan.bulk) {
    setup.bindColumn(name, TiledShapeStMan("Tiled" + name, tile_shape(desc)));
  } else if (desc.isArray() || desc.dataType() == TpString || plan.often ||
             kChangesOften.count(name)) {
    setup.bindColumn(name, ssm);
  } else {
    setup.bindColumn(name, ism);
  }
}

}  // namespace

// Keywords of virtual models (table/model.h), which are of the rows and ids of the table.
static std::set<std::string> model_keys(const TableRecord& keys) {
  const std::string prefix = "definedmodel_field_";
  std::set<std::string> found;
  for (uInt i = 0; i < keys.nfields(); i++) {
    const std::string name = keys.name(i);
    if (name.compare(0, prefix.size(), prefix) || keys.dataType(i) != TpString) continue;
    found.insert(name);
    found.insert(keys.asString(i));
  }
  return found;
}

int sheaf_table_create_main(const char* pattern, const char* to, int64_t nrow,
                            const sheaf_column_plan* columns, size_t n, int is_ms,
                            sheaf_table_fill* fill, void* user, sheaf_error* err) {
  return sheaf::isolated(err, to, [&](sheaf_error* why) {
    return guard(why, to, [&] {
      const Table from = open_table(pattern, false);
      const TableDesc& old = from.tableDesc();
      TableDesc desc(old.getType(), old.version(), TableDesc::Scratch);
      for (size_t i = 0; i < n; i++)
        add_column(desc, old.columnDesc(columns[i].source), columns[i]);
      const TableRecord& keys = from.keywordSet();
      const std::set<std::string> models = model_keys(keys);
      for (uInt i = 0; is_ms && i < keys.nfields(); i++)
        if (keys.dataType(i) != TpTable && !kOrder.count(keys.name(i)) &&
            !models.count(keys.name(i)))
          desc.rwKeywordSet().mergeField(keys, i, RecordInterface::OverwriteDuplicates);
      SetupNewTable setup(to, desc, Table::New);
      const StandardStMan ssm("StandardStMan", 32768);
      const IncrementalStMan ism("IncrementalStMan", 32768);
      for (size_t i = 0; i < n; i++)
        bind_column(setup, desc.columnDesc(columns[i].name), columns[i], ssm, ism);
      Table table(setup, TableLock(TableLock::NoLocking), nrow);
      if (is_ms) table.tableInfo() = from.tableInfo();
      table.flushTableInfo();
      sheaf_table handle(table, to);
      const int rc = fill ? fill(user, &handle, why) : 0;
      if (rc >= 0) sheaf::flush(table);
      return rc;
    });
  });
}
