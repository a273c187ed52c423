// SPDX-License-Identifier: GPL-3.0-or-later
// Made the tables data_little and data_big beside it: TiledDataStMan with two row axes (baseline,
// time), an id and a coordinate column. Usage: make_data TABLE little or big. Values as in
// make_tables.py.
#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/casa/Containers/Record.h>
#include <casacore/tables/DataMan/TiledDataStMan.h>
#include <casacore/tables/DataMan/TiledDataStManAccessor.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScaColDesc.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/SetupNewTab.h>
#include <casacore/tables/Tables/Table.h>
using namespace casacore;
int main(int, char** argv) {
  TableDesc td("", "1", TableDesc::Scratch);
  td.addColumn(ArrayColumnDesc<Int>("VIS", 2));
  td.addColumn(ArrayColumnDesc<Bool>("MASK", 2));
  td.addColumn(ScalarColumnDesc<Int>("SPW"));
  td.addColumn(ScalarColumnDesc<Float>("WHEN"));
  Vector<String> data(2), coord(4), id(1, "SPW");
  data[0] = "VIS";
  data[1] = "MASK";
  coord[3] = "WHEN";
  td.defineHypercolumn("H", 4, data, coord, id);
  SetupNewTable setup(argv[1], td, Table::New);
  TiledDataStMan man("H");
  setup.bindAll(man);
  Table t(setup, 0, False, argv[2][0] == 'b' ? Table::BigEndian : Table::LittleEndian);
  TiledDataStManAccessor acc(t, "H");
  Record v0, v1, grow;
  v0.define("SPW", Int(0));
  v1.define("SPW", Int(1));
  acc.addHypercube(IPosition(4, 2, 5, 3, 0), IPosition(4, 2, 2, 2, 2),
                   v0);  // 3 baselines, times extensible
  ArrayColumn<Int> vis(t, "VIS");
  ArrayColumn<Bool> mask(t, "MASK");
  auto put = [&](uInt from, IPosition shape) {
    for (uInt r = from; r < t.nrow(); r++) {
      Array<Int> a(shape);
      Array<Bool> b(shape);
      indgen(a, Int(1000 * r));
      size_t k = 0;
      for (auto& x : b) x = (r * 7 + k++ * 5) % 3 == 0;
      vis.put(r, a);
      mask.put(r, b);
    }
  };
  Vector<Float> when(2, 5.0f);
  when[1] = 6.0f;
  v1.define("WHEN", when);
  grow.define("SPW", Int(0));
  grow.define("WHEN", when);
  t.addRow(6);
  acc.extendHypercube(2, grow);
  put(0, IPosition(2, 2, 5));  // rows 0-5: 2 times of 3
  t.addRow(6);
  acc.addHypercube(IPosition(4, 4, 3, 3, 2), IPosition(4, 3, 3, 2, 1),
                   v1);        // 3 baselines x 2 times, fixed
  put(6, IPosition(2, 4, 3));  // rows 6-11
  t.addRow(3);
  Record g2;
  g2.define("SPW", Int(0));
  Vector<Float> w(1, 7.0f);
  g2.define("WHEN", w);
  acc.extendHypercube(1, g2);
  put(12, IPosition(2, 2, 5));  // rows 12-14
  return 0;
}
