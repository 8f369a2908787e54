#pragma once
#include <filesystem>
#include <memory>

#include "deploy/desired/signed_bytes.hpp"
#include "deploy/desired/source.hpp"

namespace holdfast::deploy::desired {

/// A signed document in a local file, as `FileSource` watches and reads it; roots lie in the same
/// directory.
class FileOrigin final : public SignedOrigin {
 public:
  /// Errors: those of `FileSource::watch`.
  [[nodiscard]] static Result<std::unique_ptr<SignedOrigin>> watch(std::filesystem::path path);

  [[nodiscard]] const std::string& name() const override { return file_->origin(); }
  [[nodiscard]] int fd() const override { return file_->fd(); }
  [[nodiscard]] bool take_changes() override { return file_->take_changes(); }
  [[nodiscard]] Result<SignedBytes> document(Freshness freshness,
                                             const std::stop_token& stop) override;
  [[nodiscard]] Result<std::string> root(std::uint64_t version,
                                         const std::stop_token& stop) override;

 private:
  FileOrigin(std::filesystem::path path, std::unique_ptr<Source> file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::filesystem::path path_;
  std::unique_ptr<Source> file_;
};

}  // namespace holdfast::deploy::desired
