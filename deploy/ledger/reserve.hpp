#pragma once
#include <filesystem>

namespace holdfast::deploy::ledger {

/// A file of 1 MiB that holds space, so that a failure can be recorded on a full disk.
class Reserve {
 public:
  explicit Reserve(std::filesystem::path path) : path_(std::move(path)) {}
  /// Makes the file when it is not there and at least four times its size is free. Failing is no
  /// error.
  void ensure();
  /// Gives the space back; false when there was none to give.
  bool give_up();

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast::deploy::ledger
