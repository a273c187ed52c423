// SPDX-License-Identifier: GPL-3.0-or-later
//
// observatory.hh - where telescopes are.
//
// A table of our own: what casacore finds depends on the measures data of the machine, and Debian's
// differ from CASA's by metres.
#ifndef SHEAF_TABLE_OBSERVATORY_HH
#define SHEAF_TABLE_OBSERVATORY_HH

#include <array>
#include <string>

namespace sheaf {

// Reference position (ITRF, m) of a telescope as in OBSERVATION::TELESCOPE_NAME, case ignored;
// false when it is not known.
bool observatory_position(const std::string& name, std::array<double, 3>* xyz_m);

}  // namespace sheaf
#endif
