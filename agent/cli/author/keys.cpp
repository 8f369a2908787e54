#include "agent/cli/author/keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::size_t kMostKeyBytes = 16U << 10;

}  // namespace

Result<std::string> read_passphrase(const std::string& file) {
  if (file.empty()) return std::string{};
  HF_ASSIGN(const auto text, os::read_file(file, kMostKeyBytes));
  std::string first{split(text, '\n').front()};
  if (first.empty()) return Error{Errc::usage, fmt::format("{} holds no passphrase", file)};
  return first;
}

Result<crypto::PrivateKey> read_private_key(const std::string& file,
                                            const std::string& passphrase) {
  HF_ASSIGN(const auto pem, os::read_file(file, kMostKeyBytes));
  auto key = crypto::PrivateKey::read(pem, passphrase);
  if (!key) return std::move(key).error().in(file);
  return key;
}

Result<proto::trust::PublicKey> read_public_key(const std::string& file) {
  HF_ASSIGN(const auto pem, os::read_file(file, kMostKeyBytes));
  auto key = proto::trust::PublicKey::from_pem(pem);
  if (!key) return std::move(key).error().in(file);
  return key;
}

Result<proto::trust::PublicKey> public_key_of(const crypto::PrivateKey& key) {
  HF_ASSIGN(auto spki, key.public_key());
  return proto::trust::PublicKey::from_spki(std::move(spki));
}

Status write_new(const std::string& file, const std::string& text, unsigned mode) {
  auto fd = os::open_file(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (!fd && std::filesystem::exists(std::filesystem::symlink_status(file)))
    return Error{Errc::conflict, fmt::format("{} is there already", file)}.hint(
        "choose another name; a key is never overwritten");
  if (!fd) return std::move(fd).error();
  HF_TRY(os::write_all(fd->get(), text));
  if (::fsync(fd->get()) != 0) return errno_error(errno, "write " + file);
  return ok();
}

}  // namespace holdfast::agent::cli
