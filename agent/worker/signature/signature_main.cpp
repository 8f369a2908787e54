#include "agent/worker/signature/signature_main.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "agent/worker/confine.hpp"
#include "common/crypto/signature/signature.hpp"
#include "common/os/file.hpp"
#include "proto/worker/signatures.hpp"

namespace holdfast::agent::worker::signature {
namespace {

namespace wire = proto::worker;

Result<std::string> read_question() {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const auto got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read the question");
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > wire::kMostSignatureQuestionBytes)
      return Error{Errc::too_large, "the question is too long"};
  }
}

Status confine() {
  constexpr std::uint64_t kAddressSpace = 512U << 20;
  constexpr std::uint64_t kOpenFiles = 16;
  constexpr std::uint64_t kCpuSeconds = 10;
  HF_TRY(limit_process({.address_space = kAddressSpace,
                        .file_size = 0,
                        .open_files = kOpenFiles,
                        .cpu_seconds = kCpuSeconds}));
  HF_TRY(enter_namespaces());
  HF_TRY(restrict_files_to_reading());
  HF_TRY(become_nobody());
  return allow_system_calls(Profile::archive);
}

Result<std::vector<bool>> answer() {
  HF_ASSIGN(const auto text, read_question());
  (void)crypto::verify_signature({}, {}, {});  // OpenSSL reads its configuration while it can
  if (auto confined = confine(); !confined)
    return std::move(confined).error().in("confine the one who checks signatures");
  HF_ASSIGN(const auto question, wire::decode_signature_question(text));
  std::vector<bool> valid;
  for (const auto& [key, signature] : question.claimed)
    valid.push_back(crypto::verify_signature(key, question.message, signature));
  return valid;
}

}  // namespace

int signature_main() {
  const auto said = answer();
  const auto wrote = os::write_all(STDOUT_FILENO, wire::encode_signature_answer(said));
  return said && wrote ? 0 : 1;
}

}  // namespace holdfast::agent::worker::signature
