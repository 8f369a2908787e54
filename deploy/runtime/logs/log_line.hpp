#pragma once
/// \file
/// One line of a service's output.

#include <string>

#include "common/base/clock.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// A line with who wrote it and when.
struct LogLine {
  InstanceId instance;
  WallTime time{};
  bool is_stderr = false;
  bool partial = false;
  std::string text;
};

}  // namespace holdfast::deploy::runtime
