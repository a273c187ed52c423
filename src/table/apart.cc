/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apart.cc - keeps our casacore apart from another version of it in the same process (CASA's
 * casatools has its own).
 *
 * Each library looks its symbols up in its own dependencies, but for static variables of templates:
 * the linker makes these unique in the whole process, whatever their version. casacore's allocators
 * are such variables, and the descriptions of an MS's tables. A block of tables that is allocated
 * with the other version's idea of a table is a crash, at the first Multi-MS that CASA opens after
 * us. This layer is compiled without unique symbols (-fno-gnu-unique), and here are ordinary
 * variables for the types that versions define differently. Our casacore finds these first, since
 * it is loaded as a dependency of our library. */
#include <casacore/casa/Containers/Block.h>
#include <casacore/casa/Containers/RecordField.h>
#include <casacore/ms/MSSel/MSTableIndex.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/tables/TaQL/ExprNode.h>
#include <casacore/tables/TaQL/ExprRange.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <casacore/tables/Tables/TableRow.h>
#include <casacore/ms/MeasurementSets/MSTable.tcc>

template casacore::MSTableMaps &casacore::MSTable<casacore::MSAntennaEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSDataDescriptionEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSDopplerEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSFeedEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSFieldEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSFlagCmdEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSFreqOffsetEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSHistoryEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSMainEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSObservationEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSPointingEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSPolarizationEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSProcessorEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSSourceEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSSpectralWindowEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSStateEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSSysCalEnums>::getMaps();
template casacore::MSTableMaps &casacore::MSTable<casacore::MSWeatherEnums>::getMaps();

namespace {

template <class... T>
struct allocators {
  static void use() { (void)(... + casacore::Block<T>().nelements()); }
};

using fields = allocators<
    casacore::RecordFieldPtr<casacore::Bool>, casacore::RecordFieldPtr<casacore::uChar>,
    casacore::RecordFieldPtr<casacore::Short>, casacore::RecordFieldPtr<casacore::Int>,
    casacore::RecordFieldPtr<casacore::Float>, casacore::RecordFieldPtr<casacore::Double>,
    casacore::RecordFieldPtr<casacore::Complex>, casacore::RecordFieldPtr<casacore::DComplex>,
    casacore::RecordFieldPtr<casacore::String>, casacore::RORecordFieldPtr<casacore::Bool>,
    casacore::RORecordFieldPtr<casacore::uChar>, casacore::RORecordFieldPtr<casacore::Short>,
    casacore::RORecordFieldPtr<casacore::Int>, casacore::RORecordFieldPtr<casacore::Float>,
    casacore::RORecordFieldPtr<casacore::Double>, casacore::RORecordFieldPtr<casacore::Complex>,
    casacore::RORecordFieldPtr<casacore::DComplex>, casacore::RORecordFieldPtr<casacore::String>>;
using parts = allocators<casacore::Table, casacore::TableColumn, casacore::TableExprNode,
                         casacore::TableExprRange, casacore::ROTableRow, casacore::TableRecord,
                         casacore::ArrayColumn<casacore::Bool>, casacore::MSTableIndex,
                         casacore::MeasurementSet>;

}  // namespace

/* Never called: what it would use has to be there. */
extern "C" void sheaf_table_own_allocators();
extern "C" void sheaf_table_own_allocators() {
  parts::use();
  fields::use();
}
