#include "common/os/memory_signs.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

constexpr const char* kPressure =
    "some avg10=12.34 avg60=5.00 avg300=1.00 total=123\nfull avg10=90.00 avg60=1.00 avg300=0.10 "
    "total=12\n";

TEST(MemorySigns, TakeTheShareOfTheLastTenSecondsInWhichSomethingWaited) {
  EXPECT_EQ(parse_pressure(kPressure), 12.34);
  EXPECT_EQ(parse_pressure("some avg10=0.00 avg60=0.00"), 0.0);
  EXPECT_FALSE(parse_pressure("full avg10=90.00"));
  EXPECT_FALSE(parse_pressure("some avg10=x"));
  EXPECT_FALSE(parse_pressure("some avg10=101.0"));
  EXPECT_FALSE(parse_pressure(""));
}

TEST(MemorySigns, TakeTheMemoryThatIsAvailableNotTheFreeOne) {
  EXPECT_EQ(parse_available("MemTotal: 100 kB\nMemFree: 3 kB\nMemAvailable:   2048 kB\n"),
            Bytes{2048U * 1024});
  EXPECT_FALSE(parse_available("MemFree: 3 kB\n"));
  EXPECT_FALSE(parse_available("MemAvailable: much\n"));
}

class MemorySignsFiles : public ::testing::Test {
 protected:
  void write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((dir_.path() / file).parent_path());
    std::ofstream{dir_.path() / file} << text;
  }
  [[nodiscard]] MemorySources sources() const {
    return {dir_.path() / "proc", dir_.path() / "cgroup"};
  }
  TempDir dir_ = TempDir::create(std::filesystem::temp_directory_path(), "hf-memory").value();
};

TEST_F(MemorySignsFiles, TheOwnCgroupCountsBeforeTheWholeHost) {
  write("proc/self/cgroup", "3:cpu:/x\n0::/system.slice/holdfast.service\n");
  write("proc/pressure/memory", "some avg10=1.00\n");
  EXPECT_EQ(read_memory_signs(sources()).pressure, 1.0);
  write("cgroup/system.slice/holdfast.service/memory.pressure", kPressure);
  EXPECT_EQ(read_memory_signs(sources()).pressure, 12.34);
}

TEST_F(MemorySignsFiles, WhatIsNotThereIsAbsent) {
  const auto none = read_memory_signs(sources());
  EXPECT_FALSE(none.pressure);
  EXPECT_FALSE(none.available);
  write("proc/meminfo", "MemAvailable: 1 kB\n");
  EXPECT_EQ(read_memory_signs(sources()).available, Bytes{1024});
}

}  // namespace
}  // namespace holdfast::os
