#include <iomanip>
#include <sstream>

#include "emulsion/value.h"
#include "plan/speed.h"

namespace emulsion {
namespace {

void compute_rows(std::ostringstream& text, const DeviceSpeed& speed) {
  const auto cell = [&](double value, double unit) {
    text << std::setw(13) << std::setprecision(value / unit < 10 ? 2 : 0) << value / unit;
  };
  for (const auto& [dtype, rate] : speed.compute) {
    text << "  " << std::left << std::setw(14) << dtype_text(dtype) << std::right;
    for (const double flops : {rate.convolution, rate.product, rate.attention}) cell(flops, 1e9);
    cell(rate.traffic, 1e9);
    text << '\n';
  }
}

void transfer_row(std::ostringstream& text, const std::string& label, double bytes) {
  text << "  " << std::left << std::setw(40) << label << std::right << std::setw(13)
       << std::setprecision(2) << bytes / 1e9 << '\n';
}

}  // namespace

std::string to_text(const SpeedTable& table) {
  std::ostringstream text;
  text << std::fixed;
  for (const auto& [name, speed] : table) {
    text << name << "\n  " << std::left << std::setw(14) << "GFLOP/s" << std::right << std::setw(13)
         << "convolution" << std::setw(13) << "product" << std::setw(13) << "attention"
         << std::setw(13) << "memory GB/s" << '\n';
    compute_rows(text, speed);
    text << "  GB/s\n";
    if (name == "cpu") transfer_row(text, "weights as they are in the file", speed.map);
    transfer_row(text, "weights read", speed.read);
    transfer_row(text, "weights read and converted", speed.convert);
    transfer_row(text, "from host memory", speed.from_host);
    transfer_row(text, "to host memory", speed.to_host);
    text << "  copies " << (speed.copies_beside ? "run beside the work" : "wait for the work")
         << ", each takes at least " << std::setprecision(0) << speed.latency * 1e6 << " us\n";
  }
  return text.str();
}

}  // namespace emulsion
