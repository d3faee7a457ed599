// Counts what a receiver takes until SECONDS (environment) have passed since the first byte, then writes the bins that
// meter.go knows to the file OUT and ends the process: no pipe, no file of content, is charged to the transport.
#pragma once
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

class Sink {
  using Clock = std::chrono::steady_clock;
  const double seconds = std::atof(std::getenv("SECONDS"));
  const std::string out = std::getenv("OUT");
  std::vector<long long> bins = std::vector<long long>(size_t(seconds * 10));
  Clock::time_point begin{};

 public:
  void take(int n) {
    const auto now = Clock::now();
    if (begin == Clock::time_point{}) begin = now;
    const size_t i = size_t(std::chrono::duration<double>(now - begin).count() * 10);
    if (i < bins.size()) {
      bins[i] += n;
      return;
    }
    const std::string part = out + ".part";
    std::FILE *f = std::fopen(part.c_str(), "w");
    if (!f) std::exit(1);
    for (size_t k = 0; k < bins.size(); k++) std::fprintf(f, "%s%lld", k ? "," : "{\"bins\":[", bins[k]);
    std::fputs("]}", f);
    std::_Exit(std::fclose(f) || std::rename(part.c_str(), out.c_str()) ? 1 : 0);
  }
};
